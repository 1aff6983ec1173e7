"""Start long work, follow it, and chain what comes after."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from django.db import close_old_connections, transaction
from django.utils import timezone
from procrastinate.contrib.django import app as queue

from labeling.models import AuditEvent, Experiment, Job, User
from labeling.origin import Origin, acting_from
from labeling.problems import Conflict, Problem
from labeling.services.locks import wait_for_turn

log = logging.getLogger(__name__)

# By name: labeling may not import training, where scores are made.
TASKS = {
    Job.Kind.INGEST: "labeling.tasks.ingest",
    Job.Kind.IMPORT: "labeling.tasks.import_metrics",
    Job.Kind.MEASURE: "labeling.tasks.measure",
    Job.Kind.THUMBNAILS: "labeling.tasks.redraw_thumbnails",
    Job.Kind.EMBED: "training.tasks.embed",
    Job.Kind.SCORE: "training.tasks.score",
    Job.Kind.RETRAIN: "training.tasks.retrain",
    Job.Kind.COMPARE: "training.tasks.compare",
    Job.Kind.APPLY: "training.tasks.apply",
}
Progress = Callable[[int, int], None]


@transaction.atomic
def start_job(
    kind: str,
    experiment: Experiment,
    *,
    by: User,
    parameters: dict[str, Any] | None = None,
    followed_by: Sequence[str] = (),
) -> Job:
    """Queue a job in the caller's transaction; jobs of one experiment run one after another.

    Raises Conflict when the same kind of job is waiting already and would do the same.
    """
    # Two who ask at once would both find nothing waiting.
    wait_for_turn("start a job", [experiment.pk])
    waiting = experiment.jobs.filter(
        kind=kind, state=Job.State.QUEUED, parameters=parameters or {}, followed_by=list(followed_by)
    )
    if waiting.exists():
        raise Conflict(f"This is queued already: {kind} {experiment.name}.")
    job = Job.objects.create(
        experiment=experiment,
        kind=kind,
        parameters=parameters or {},
        followed_by=list(followed_by),
        requested_by=by,
    )
    queue.configure_task(TASKS[Job.Kind(kind)], lock=f"experiment {experiment.pk}").defer(job_id=job.pk)
    return job


def run_job(job_id: int, work: Callable[[Job, Progress], str]) -> None:
    """Do the work of a queued job once. What it returns is what the job says when it is done.

    A job that is finished already is left alone, so a task that is delivered twice does nothing.
    """
    close_old_connections()  # a worker's thread may have slept through a restart of the database
    job = Job.objects.select_related("experiment", "requested_by").get(pk=job_id)
    if job.is_finished:
        return
    Job.objects.filter(pk=job_id).update(
        state=Job.State.RUNNING, started_at=timezone.now(), message="", done=0, total=None
    )
    with acting_from(Origin(kind=AuditEvent.Origin.JOB, request_id=f"job {job_id}")), _failures_told(job):
        message = work(job, throttled_progress(job))
        with transaction.atomic():
            _finish(job, Job.State.SUCCEEDED, message)
            if job.followed_by:
                kind, *rest = job.followed_by
                with suppress(Conflict):  # the same is waiting already, and will do
                    start_job(kind, job.experiment, by=job.requested_by, followed_by=rest)


def say(job: Job, message: str) -> None:
    """Tell in the page what a job is doing now."""
    Job.objects.filter(pk=job.pk).update(message=message)


def throttled_progress(job: Job, *, every_s: float = 0.5) -> Progress:
    """Report how far a job is, writing at most twice a second."""
    last = 0.0

    def report(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= every_s or done == total:
            last = now
            Job.objects.filter(pk=job.pk).update(done=done, total=total)

    return report


def rate_per_s(job: Job) -> float | None:
    """Items a second since the job started, or None when it is too early to say."""
    if not job.started_at or not job.done:
        return None
    seconds = ((job.finished_at or timezone.now()) - job.started_at).total_seconds()
    return job.done / seconds if seconds > 0 else None


def seconds_left(job: Job) -> float | None:
    rate = rate_per_s(job)
    if job.state != Job.State.RUNNING or not rate or job.total is None:
        return None
    return (job.total - job.done) / rate


@contextmanager
def _failures_told(job: Job) -> Iterator[None]:
    try:
        yield
    except Problem as problem:
        _finish(job, Job.State.FAILED, str(problem))
    except Exception:
        log.exception("job %s (%s) failed", job.pk, job)
        _finish(
            job,
            Job.State.FAILED,
            f"Something went wrong that cellqc did not expect. Nothing is lost; try again, and if it happens "
            f"again give your admin this number: job {job.pk}.",
        )


def _finish(job: Job, state: str, message: str) -> None:
    Job.objects.filter(pk=job.pk).update(state=state, message=message, finished_at=timezone.now())
