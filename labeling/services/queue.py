"""Which images to label next: those the cutoff is least sure about."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import OuterRef, Q, QuerySet, Subquery

from labeling.models import Experiment, Image, Label, Score, Verdict
from labeling.problems import BadValue
from labeling.services.cutoffs import AUTOMATIC, current_run
from labeling.services.image_facts import Basis, ImageFacts, basis_of, facts_of_page

MOST = 500


@dataclass(frozen=True)
class Candidate:
    """An image to label, and why this one."""

    facts: ImageFacts
    why: str


def images_to_label(experiment: Experiment, *, limit: int) -> list[Candidate]:
    """The unlabelled, unbroken images nearest the cutoff, the nearest first.

    The cutoff is the saved one, or the automatic one while none is saved. Raises Conflict before the
    first scoring, BadValue for a limit that is not 1 to 500.
    """
    if not 1 <= limit <= MOST:
        raise BadValue(f"The limit is {limit}; ask for 1 to {MOST} images.")
    run, basis = current_run(experiment), basis_of(experiment)
    cutoff = AUTOMATIC[run.kind] if basis.cutoff is None else basis.cutoff.value
    # Two walks away from the cutoff, so that the rest of the experiment is never sorted.
    open_scores = _unlabelled(Score.objects.filter(run=run, image__state=Image.State.READY))
    below = open_scores.filter(score__lt=cutoff).order_by("-score", "-image_id")[:limit]
    above = open_scores.filter(score__gte=cutoff).order_by("score", "image_id")[:limit]
    near = sorted([*below, *above], key=lambda score: (abs(score.score - cutoff), score.image_id))[:limit]
    return _candidates(near, basis, cutoff)


def _unlabelled(scores: QuerySet[Score]) -> QuerySet[Score]:
    newest = Label.objects.filter(image=OuterRef("image")).order_by("-id").values("verdict")[:1]
    return scores.annotate(newest_verdict=Subquery(newest)).filter(
        Q(newest_verdict__isnull=True) | Q(newest_verdict=Verdict.WITHDRAWN)
    )


def _candidates(scores: list[Score], basis: Basis, cutoff: float) -> list[Candidate]:
    images = Image.objects.with_place().in_bulk([score.image_id for score in scores])
    for score in scores:
        images[score.image_id].isolation_score, images[score.image_id].blended_score = score.score, None
    facts = facts_of_page([images[score.image_id] for score in scores], basis)
    which = "cutoff" if basis.cutoff else "automatic cutoff (none is saved yet)"
    return [Candidate(fact, _why(fact.isolation_score, cutoff, which)) for fact in facts]


def _why(score: float, cutoff: float, which: str) -> str:
    side = "below" if score < cutoff else "above"
    distance = f"{abs(score - cutoff):.4f} {side} the {which} {cutoff:.4f}"
    return f"not labelled, and its score {score:.4f} is only {distance}"
