"""When labels are enough for a new training, and what it will learn from."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from django.conf import settings
from django.db.models import Exists, F, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from labeling.models import Experiment, Job, Label, LabelQueue, ModelVersion, QueueEntry, ScoreRun, User, Verdict
from labeling.problems import Conflict
from labeling.services.jobs import start_job

TEACHING = (Verdict.GOOD, Verdict.BAD)
# A queue with fewer open entries is renewed although few labels came in.
QUEUE_LOW = 40


def n_teaching(experiment: Experiment) -> int:
    """How many images a training would learn from: those whose label in force is good or bad."""
    in_force = Label.objects.filter(pk__in=Label.objects.filter(experiment=experiment).current().values("pk"))
    return in_force.filter(verdict__in=TEACHING).count()


def n_new_labels(experiment: Experiment) -> int:
    """Labels given since the last training began, whether it came to an end or not.

    Undoing is no label, and a blind repeat that says the same again teaches nothing.
    """
    return _n_new_labels(_standing_of(experiment))


def _standing_of(experiment: Experiment) -> Experiment:
    """The experiment with what decides on a training, in one query: every label asks.

    `learnt_label` and `learnt_at` say what the last training took, `is_queued` that one waits, `queue` the newest.
    """
    of_it = {"experiment": OuterRef("pk")}
    trainings = Job.objects.filter(**of_it, kind=Job.Kind.RETRAIN)
    versions = ModelVersion.objects.filter(**of_it).order_by("-number")
    return Experiment.objects.annotate(
        is_scored=Exists(ScoreRun.objects.filter(**of_it)),
        is_queued=Exists(trainings.filter(state=Job.State.QUEUED)),
        learnt_label=Subquery(versions.values("last_label_id")[:1]),
        learnt_at=Subquery(trainings.order_by("-id").values(began=Coalesce("started_at", "requested_at"))[:1]),
        queue=Subquery(LabelQueue.objects.filter(**of_it).order_by("-id").values("pk")[:1]),
    ).get(pk=experiment.pk)


def _n_new_labels(standing: Experiment) -> int:
    labels = Label.objects.filter(experiment=standing, verdict__in=TEACHING, undoes__isnull=True).filter(
        Q(repeats__isnull=True) | ~Q(repeats__verdict=F("verdict"))
    )
    if standing.learnt_label:
        labels = labels.filter(pk__gt=standing.learnt_label)
    if standing.learnt_at:
        labels = labels.filter(at__gt=standing.learnt_at)
    return labels.count()


def queue_training_when_due(experiments: Iterable[Experiment], *, by: User) -> None:
    """Queue a training for each experiment that has enough new labels or too few images left in its queue.

    Called in the transaction that stores labels, so that neither exists without the other. Started by name:
    labeling does not know training. One that waits already will take all labels there are.
    """
    for experiment in experiments:
        if settings.RETRAIN_AFTER and _is_due(experiment):
            with suppress(Conflict):
                start_job(Job.Kind.RETRAIN, experiment, by=by, parameters={"automatic": True})


def retrain_after_scoring(experiment: Experiment, *, by: User) -> None:
    """New scores want a new blend, where a model has learnt before."""
    if settings.RETRAIN_AFTER and ModelVersion.objects.filter(experiment=experiment).exists():
        with suppress(Conflict):
            start_job(Job.Kind.RETRAIN, experiment, by=by, parameters={"automatic": True})


def _is_due(experiment: Experiment) -> bool:
    standing = _standing_of(experiment)
    if standing.is_queued or not standing.is_scored:
        return False
    return _n_new_labels(standing) >= settings.RETRAIN_AFTER or _is_queue_low(standing)


def _is_queue_low(standing: Experiment) -> bool:
    """Whether the newest queue runs out while there are images it never held.

    A list that was short from the start is not renewed with every label: half of it has to be used up.
    """
    if standing.queue is None:
        return False
    entries = QueueEntry.objects.filter(queue=standing.queue)
    if entries.unlabelled().count() >= min(QUEUE_LOW, entries.count() / 2):
        return False
    n_left = standing.images.count() - Label.objects.filter(experiment=standing).current().count()
    return n_left > 2 * QUEUE_LOW
