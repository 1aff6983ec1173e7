"""What is known of images now: score, label, which side of the saved cutoff, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from django.db.models import F, FilteredRelation, FloatField, Q, QuerySet, Value

from labeling.models import Cutoff, Experiment, Image, ImageReason, Label, ScoreKind, ScoreRun
from labeling.services.cutoffs import cutoff_in_force
from labeling.services.decisions import decide, printed_names
from labeling.services.reasons import in_a_sentence, reasons_of, sentences_of
from labeling.services.rules import Judge, conditions_of
from labeling.services.scores import parts_of


@dataclass(frozen=True)
class Basis:
    """The scores images are told by and the cutoff in force; None while there is none.

    `run` is the one the cutoff lies on, the newest isolation run while no cutoff is saved.
    """

    run: ScoreRun | None
    cutoff: Cutoff | None
    isolation_run: ScoreRun | None = None
    blended_run: ScoreRun | None = None
    judge: Judge | None = None

    @property
    def cutoff_value(self) -> float | None:
        return self.cutoff.value if self.cutoff else None

    @property
    def score_field(self) -> str:
        """Which score of an image the cutoff is compared with: the name of the annotation of `with_scores`."""
        return "blended_score" if self.run and self.run.kind == ScoreKind.BLENDED else "isolation_score"

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
    disagreement: float | None = None
    # What speaks against it, the strongest first; empty where no run explained it, and in whole tables.
    reasons: Sequence[ImageReason] = ()

    @property
    def verdict(self) -> str | None:
        return self.label.verdict if self.label else None


def basis_of(experiment: Experiment) -> Basis:
    """Three queries. Where the cutoff lies on an older model's scores, those are the blended ones shown."""
    runs = ScoreRun.objects.defer("vector")
    isolation_run = runs.latest_of(experiment)
    cutoff = cutoff_in_force(experiment, isolation_run)
    judge = Judge(experiment, cutoff.run_id, conditions_of(cutoff.conditions)) if cutoff else None
    if cutoff and cutoff.run.kind == ScoreKind.BLENDED:
        return Basis(cutoff.run, cutoff, isolation_run, cutoff.run, judge)
    return Basis(isolation_run, cutoff, isolation_run, runs.latest_of(experiment, ScoreKind.BLENDED), judge)


def with_scores(images: QuerySet[Image], basis: Basis) -> QuerySet[Image]:
    """Each image with its `isolation_score` and `blended_score`, None where it has none."""
    images = _with_score(images, "isolation", basis.isolation_run)
    return _with_score(images, "blended", basis.blended_run)


def _with_score(images: QuerySet[Image], kind: str, run: ScoreRun | None) -> QuerySet[Image]:
    if run is None:
        return images.annotate(**{f"{kind}_score": Value(None, output_field=FloatField())})
    relation = FilteredRelation("scores", condition=Q(scores__run=run.pk))
    return images.annotate(**{f"in_{kind}_run": relation, f"{kind}_score": F(f"in_{kind}_run__score")})


def facts_of_page(images: Sequence[Image], basis: Basis) -> list[ImageFacts]:
    """Facts of the images of one page, with one query for their labels and one for what speaks against them."""
    ids = [image.pk for image in images]
    labels = Label.objects.on(ids)
    names = {label.by_id: label.by.printed_name for label in labels.values()}
    reasons = reasons_of([basis.run, basis.blended_run, basis.isolation_run], ids)
    decides = basis.run.pk if basis.run else None
    because = {pk: in_a_sentence(found) for pk, found in reasons.items() if found[0].run_id == decides}
    facts = _facts(images, labels, names, basis, because)
    return [replace(fact, reasons=reasons.get(fact.image.pk, ())) for fact in facts]


def all_facts(experiment: Experiment, basis: Basis, *, batch_size: int = 2000) -> Iterator[ImageFacts]:
    """Facts of every image of an experiment in plate order, streamed: four queries in all."""
    labels, names, because = Label.objects.in_force(experiment), printed_names(), sentences_of(basis.run)
    images = with_scores(Image.objects.of(experiment), basis).in_plate_order().with_place()
    for batch in in_batches(images.iterator(chunk_size=batch_size), batch_size):
        yield from _facts(batch, labels, names, basis, because)


def in_batches(rows: Iterable, size: int) -> Iterator[list]:
    """Lists of at most `size`; what is streamed stays in pieces."""
    waiting = iter(rows)
    while batch := list(islice(waiting, size)):
        yield batch


def _facts(
    images: Sequence[Image],
    labels: Mapping[int, Label],
    names: Mapping[int, str],
    basis: Basis,
    because: Mapping[int, str],
) -> list[ImageFacts]:
    parts = parts_of(basis.blended_run, (image.pk for image in images))
    return [
        _facts_of(image, labels.get(image.pk), names, basis, parts.get(image.pk, {}), because.get(image.pk, ""))
        for image in images
    ]


def _facts_of(
    image: Image,
    label: Label | None,
    names: Mapping[int, str],
    basis: Basis,
    parts: Mapping[str, float],
    because: str,
) -> ImageFacts:
    score, cutoff = getattr(image, basis.score_field), basis.cutoff_value
    broken = basis.broken_conditions(image.pk)
    return ImageFacts(
        image=image,
        isolation_score=image.isolation_score,  # type: ignore[attr-defined] # with_scores
        label=label,
        flagged=None if score is None or cutoff is None else score < cutoff or bool(broken),
        reason=decide(image, score, label, names, cutoff, broken, because).reason,
        blended_score=image.blended_score,  # type: ignore[attr-defined]
        uncertainty=parts.get("uncertainty"),
        disagreement=parts.get("disagreement"),
    )
