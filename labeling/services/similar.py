"""Find more like this: the images of an experiment that lie nearest to one."""

from __future__ import annotations

from dataclasses import dataclass

from labeling.models import FeatureSpace, Image
from labeling.problems import BadValue
from labeling.services.feature_spaces import newest_space
from labeling.services.image_facts import ImageFacts, basis_of, facts_of_page, with_scores

MOST = 200
# The better one first: metrics serve while the network has not looked.
BASES = (FeatureSpace.Basis.EMBEDDINGS, FeatureSpace.Basis.METRICS)
IN_WORDS = {
    FeatureSpace.Basis.EMBEDDINGS.value: "by what an image network sees, compared within each plate",
    FeatureSpace.Basis.METRICS.value: "by the metrics, compared within each plate: the network has not looked yet",
    "": "Nothing to compare yet: this image is not scored. Score the experiment first.",
}


@dataclass(frozen=True)
class SimilarImage:
    """An image, what is known of it, and how alike it is: a cosine, -1 to 1, higher is more alike."""

    facts: ImageFacts
    similarity: float


@dataclass(frozen=True)
class Similar:
    """The nearest images, the most alike first, and by what they were compared: `basis` is empty without any."""

    basis: str
    images: list[SimilarImage]

    @property
    def in_words(self) -> str:
        return IN_WORDS[self.basis]


def similar_images(image: Image, *, limit: int) -> Similar:
    """The images of the same experiment most alike this one. BadValue for a limit that is not 1 to 200."""
    if not 1 <= limit <= MOST:
        raise BadValue(f"The limit is {limit}; ask for 1 to {MOST} images.")
    for basis in BASES:
        space = newest_space(image.experiment, basis)
        if space is not None and (near := space.nearest(image.pk, limit=limit)):
            return Similar(basis.value, _described(image, near))
    return Similar("", [])


def _described(image: Image, near: list[tuple[int, float]]) -> list[SimilarImage]:
    basis, similarity = basis_of(image.experiment), dict(near)
    images = with_scores(Image.objects.with_place(), basis).in_bulk(list(similarity))
    facts = facts_of_page([images[pk] for pk in similarity if pk in images], basis)
    return [SimilarImage(fact, similarity[fact.image.pk]) for fact in facts]
