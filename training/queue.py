"""Which images to label next: chosen when scores or labels changed, served from a list."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from django.db import transaction
from django.db.models import OuterRef, Q, Subquery

from labeling.models import Experiment, Image, Label, LabelQueue, QueueEntry, Score, ScoreRun, User, Verdict
from labeling.problems import BadValue
from labeling.services.cutoffs import AUTOMATIC, current_run, cutoff_in_force
from labeling.services.image_facts import ImageFacts, basis_of, facts_of_page, with_scores
from labeling.services.repeats import next_repeat
from training.learners.blend import Prediction
from training.learners.queue import DRAWN_BLINDLY, Choice, choose_next
from training.learning import LearningTable, Teaching, teaching_of

MOST = 500
# Served in the meantime to somebody whose page shows an older list; the rest is thrown away.
QUEUES_KEPT = 3


@dataclass(frozen=True)
class Candidate:
    """An image to label, and why this one. `is_random`: drawn blindly, to measure by."""

    facts: ImageFacts
    why: str
    is_random: bool = False


def renew_queue(
    table: LearningTable,
    run: ScoreRun,
    *,
    seed: int,
    teaching: Teaching | None = None,
    prediction: Prediction | None = None,
) -> LabelQueue:
    """Choose anew which images are worth a label, for the newest scores and all labels. Older lists go.

    `run` is the one whose scores order the queue, `prediction` (N rows of the table) the model's, if there is one.
    """
    experiment = run.experiment
    cutoff = cutoff_in_force(experiment, current_run(experiment))
    choices = choose_next(
        table.features,
        table.outlook,
        table.well_ids,
        verdicts=(teaching or teaching_of(experiment, table)).verdicts,
        prediction=prediction,
        limit=MOST,
        random_state=seed,
        cutoff=cutoff.value if cutoff and cutoff.run.model_version_id is None else None,
    )
    return _store(experiment, run, table, choices)


@transaction.atomic
def _store(experiment: Experiment, run: ScoreRun, table: LearningTable, choices: Sequence[Choice]) -> LabelQueue:
    queue = LabelQueue.objects.create(experiment=experiment, run=run)
    QueueEntry.objects.bulk_create(
        QueueEntry(
            queue=queue,
            rank=rank,
            image_id=int(table.image_ids[choice.row]),
            why=choice.why,
            is_random=choice.is_random,
        )
        for rank, choice in enumerate(choices)
    )
    kept = LabelQueue.objects.filter(experiment=experiment).values("pk")[:QUEUES_KEPT]
    LabelQueue.objects.filter(experiment=experiment).exclude(pk__in=list(kept.values_list("pk", flat=True))).delete()
    return queue


def images_to_label(experiment: Experiment, *, limit: int) -> list[Candidate]:
    """The unlabelled, unbroken images to look at next, best first, from the newest list.

    Where the list runs out (a new one is made in the background), those nearest the cutoff follow. Raises
    Conflict before the first scoring, BadValue for a limit that is not 1 to 500.
    """
    return _described(experiment, _chosen(experiment, limit))


def page_to_label(experiment: Experiment, person: User, *, limit: int) -> list[Candidate]:
    """The same for one person's page, a blind repeat among them when one is due; nothing tells which it is."""
    chosen = _chosen(experiment, limit)
    repeat = next_repeat(experiment, person) if chosen else None
    if repeat is None or repeat.place >= limit:
        return _described(experiment, chosen)
    again = repeat.earlier.image_id
    entries = list(chosen.items())
    entries.insert(repeat.place, (again, _why_again(experiment, again, chosen)))
    candidates = _described(experiment, dict(entries[:limit]))
    return [
        replace(one, facts=replace(one.facts, label=None)) if one.facts.image.pk == again else one for one in candidates
    ]


def _why_again(experiment: Experiment, image_id: int, others: Collection[int]) -> tuple[str, bool]:
    """A true reason to look at a blind repeat that reads like those of the others on its page.

    It was drawn blindly, as the random share of a ranked list is; where there is no list, all stand by their scores.
    """
    run = current_run(experiment)
    score = Score.objects.filter(run=run, image=image_id).first()
    if score is None or QueueEntry.objects.filter(queue__experiment=experiment, image__in=others).exists():
        return DRAWN_BLINDLY, True
    return _why(score.score, *_cutoff_to_be_near(experiment, run)), False


def _chosen(experiment: Experiment, limit: int) -> dict[int, tuple[str, bool]]:
    """Image id to why, and whether it was drawn at random; best first."""
    if not 1 <= limit <= MOST:
        raise BadValue(f"The limit is {limit}; ask for 1 to {MOST} images.")
    isolation_run = current_run(experiment)
    queue = LabelQueue.objects.filter(experiment=experiment).first()
    entries = list(queue.entries.unlabelled()[:limit]) if queue else []
    chosen = {entry.image_id: (entry.why, entry.is_random) for entry in entries}
    if len(chosen) < limit:
        chosen |= _nearest_the_cutoff(experiment, isolation_run, limit - len(chosen), set(chosen))
    return chosen


def _described(experiment: Experiment, chosen: dict[int, tuple[str, bool]]) -> list[Candidate]:
    basis = basis_of(experiment)
    images = with_scores(Image.objects.with_place(), basis).in_bulk(chosen)
    facts = facts_of_page([images[pk] for pk in chosen], basis)
    return [Candidate(fact, *chosen[fact.image.pk]) for fact in facts]


def _nearest_the_cutoff(
    experiment: Experiment, run: ScoreRun, limit: int, without: set[int]
) -> dict[int, tuple[str, bool]]:
    """Image id to why, the nearest to the isolation cutoff first: the saved one, or the automatic one."""
    cutoff, which = _cutoff_to_be_near(experiment, run)
    # Two walks away from the cutoff, so that the rest of the experiment is never sorted.
    newest = Label.objects.filter(image=OuterRef("image")).order_by("-id").values("verdict")[:1]
    unlabelled = (
        Score.objects.filter(run=run, image__state=Image.State.READY)
        .exclude(image__in=without)
        .annotate(newest_verdict=Subquery(newest))
        .filter(Q(newest_verdict__isnull=True) | Q(newest_verdict=Verdict.WITHDRAWN))
    )
    below = unlabelled.filter(score__lt=cutoff).order_by("-score", "-image_id")[:limit]
    above = unlabelled.filter(score__gte=cutoff).order_by("score", "image_id")[:limit]
    near = sorted([*below, *above], key=lambda score: (abs(score.score - cutoff), score.image_id))[:limit]
    return {score.image_id: (_why(score.score, cutoff, which), False) for score in near}


def _cutoff_to_be_near(experiment: Experiment, run: ScoreRun) -> tuple[float, str]:
    """The saved cutoff, else the automatic one, and what it is called."""
    saved = cutoff_in_force(experiment, run)
    if saved and saved.run == run:
        return saved.value, "cutoff"
    return AUTOMATIC[run.kind], "automatic cutoff (none is saved yet)"


def _why(score: float, cutoff: float, which: str) -> str:
    side = "below" if score < cutoff else "above"
    return f"its score {score:.4f} is {abs(score - cutoff):.4f} {side} the {which} {cutoff:.4f}"
