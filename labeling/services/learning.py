"""When labels are enough for a new training, and what it will learn from."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from django.conf import settings
from django.db.models import F, Q

from labeling.models import Experiment, Job, Label, LabelQueue, ModelVersion, ScoreRun, User, Verdict
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
    labels = Label.objects.filter(experiment=experiment, verdict__in=TEACHING, undoes__isnull=True).filter(
        Q(repeats__isnull=True) | ~Q(repeats__verdict=F("verdict"))
    )
    newest = ModelVersion.objects.filter(experiment=experiment).order_by("-number").only("last_label_id").first()
    if newest and newest.last_label_id:
        labels = labels.filter(pk__gt=newest.last_label_id)
    job = experiment.jobs.filter(kind=Job.Kind.RETRAIN).order_by("-id").first()
    if job:
        labels = labels.filter(at__gt=job.started_at or job.requested_at)
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
    if experiment.jobs.filter(kind=Job.Kind.RETRAIN, state=Job.State.QUEUED).exists():
        return False
    enough = n_new_labels(experiment) >= settings.RETRAIN_AFTER or _is_queue_low(experiment)
    return enough and ScoreRun.objects.filter(experiment=experiment).exists()


def _is_queue_low(experiment: Experiment) -> bool:
    """Whether the newest queue runs out while there are images it never held.

    A list that was short from the start is not renewed with every label: half of it has to be used up.
    """
    queue = LabelQueue.objects.filter(experiment=experiment).first()
    if queue is None or queue.entries.unlabelled().count() >= min(QUEUE_LOW, queue.entries.count() / 2):
        return False
    n_left = experiment.images.count() - Label.objects.filter(experiment=experiment).current().count()
    return n_left > 2 * QUEUE_LOW
