"""What is known of images now: score, label, which side of the saved cutoff, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from django.db.models import F, FilteredRelation, FloatField, Q, QuerySet, Value

from labeling.models import Cutoff, Experiment, Image, Label, ScoreRun, Verdict
from labeling.services.decisions import decide, printed_names
from labeling.services.rules import Judge, conditions_of


@dataclass(frozen=True)
class Basis:
    """The newest scores of an experiment and the cutoff saved on them; None while there is none."""

    run: ScoreRun | None
    cutoff: Cutoff | None
    judge: Judge | None = None

    @property
    def cutoff_value(self) -> float | None:
        return self.cutoff.value if self.cutoff else None

    def broken_conditions(self, image_id: int) -> str:
        """What the saved rule says of an image's metrics, in words; empty while it breaks none."""
        return self.judge.why(image_id) if self.judge else ""


@dataclass(frozen=True)
class ImageFacts:
    """One image with what a list says of it."""

    image: Image
    isolation_score: float | None
    label: Label | None
    flagged: bool | None
    reason: str
    # Empty until a classifier has learnt from the labels.
    blended_score: float | None = None
    uncertainty: float | None = None

    @property
    def verdict(self) -> str | None:
        return self.label.verdict if self.label else None


@dataclass(frozen=True)
class ScorePosition:
    """Where a page in score order ended. Images without a score follow all others; there `score` is None."""

    score: float | None
    image_id: int


def basis_of(experiment: Experiment) -> Basis:
    run = ScoreRun.objects.defer("vector").latest_of(experiment)
    cutoff = Cutoff.objects.current(run) if run else None
    judge = Judge(experiment, run.pk, conditions_of(cutoff.conditions)) if run and cutoff else None
    return Basis(run, cutoff, judge)


def with_scores(images: QuerySet[Image], run: ScoreRun | None) -> QuerySet[Image]:
    """Each image with its `isolation_score` in that run, None where it has none."""
    if run is None:
        return images.annotate(isolation_score=Value(None, output_field=FloatField()))
    return images.annotate(
        score_in_run=FilteredRelation("scores", condition=Q(scores__run=run.pk)),
        isolation_score=F("score_in_run__score"),
    )


def with_verdict(images: QuerySet[Image], experiment: Experiment, verdict: str) -> QuerySet[Image]:
    """Images on which that verdict is in force; `none` means unlabelled."""
    in_force = Label.objects.filter(pk__in=Label.objects.filter(experiment=experiment).current().values("pk"))
    if verdict == "none":
        return images.exclude(pk__in=in_force.exclude(verdict=Verdict.WITHDRAWN).values("image"))
    return images.filter(pk__in=in_force.filter(verdict=verdict).values("image"))


def page_by_score(images: QuerySet[Image], *, descending: bool, after: ScorePosition | None, limit: int) -> list[Image]:
    """The next images in score order, each exactly once however many scores are equal.

    The index on (run, score) finds the place; only equal scores are sorted by id.
    """
    page: list[Image] = []
    if after is None or after.score is not None:
        page = list(_scored(images, descending, after)[:limit])
        after = None
    if len(page) < limit:
        page += _unscored(images, after)[: limit - len(page)]
    return page


def facts_of_page(images: Sequence[Image], basis: Basis) -> list[ImageFacts]:
    """Facts of the images of one page, with one query for their labels."""
    labels = Label.objects.on([image.pk for image in images])
    names = {label.by_id: label.by.printed_name for label in labels.values()}
    return [_facts(image, labels.get(image.pk), names, basis) for image in images]


def all_facts(experiment: Experiment, basis: Basis, *, batch_size: int = 2000) -> Iterator[ImageFacts]:
    """Facts of every image of an experiment in plate order, streamed: three queries in all."""
    labels, names = Label.objects.in_force(experiment), printed_names()
    images = with_scores(Image.objects.of(experiment), basis.run).in_plate_order().with_place()
    for image in images.iterator(chunk_size=batch_size):
        yield _facts(image, labels.get(image.pk), names, basis)


def in_batches(rows: Iterable, size: int) -> Iterator[list]:
    """Lists of at most `size`; what is streamed stays in pieces."""
    waiting = iter(rows)
    while batch := list(islice(waiting, size)):
        yield batch


def _scored(images: QuerySet[Image], descending: bool, after: ScorePosition | None) -> QuerySet[Image]:
    scored = images.filter(isolation_score__isnull=False)
    if descending:
        if after:
            ties_seen = Q(isolation_score=after.score, pk__gte=after.image_id)
            scored = scored.filter(isolation_score__lte=after.score).exclude(ties_seen)
        return scored.order_by("-isolation_score", "-pk")
    if after:
        ties_seen = Q(isolation_score=after.score, pk__lte=after.image_id)
        scored = scored.filter(isolation_score__gte=after.score).exclude(ties_seen)
    return scored.order_by("isolation_score", "pk")


def _unscored(images: QuerySet[Image], after: ScorePosition | None) -> QuerySet[Image]:
    unscored = images.filter(isolation_score__isnull=True).order_by("pk")
    return unscored.filter(pk__gt=after.image_id) if after else unscored


def _facts(image: Image, label: Label | None, names: Mapping[int, str], basis: Basis) -> ImageFacts:
    score, cutoff = image.isolation_score, basis.cutoff_value  # type: ignore[attr-defined] # with_scores
    broken = basis.broken_conditions(image.pk)
    flagged = None if score is None or cutoff is None else score < cutoff or bool(broken)
    return ImageFacts(image, score, label, flagged, decide(image, score, label, names, cutoff, broken).reason)
