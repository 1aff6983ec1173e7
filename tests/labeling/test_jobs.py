"""Long work runs once, says what it did or why not, and starts what comes after."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import pytest
from django.db import connection, transaction
from procrastinate.contrib.django.models import ProcrastinateJob

from labeling.models import AuditEvent, Job
from labeling.problems import BadValue, Conflict
from labeling.services import audit, jobs
from labeling.services.jobs import rate_per_s, run_job, seconds_left, start_job, throttled_progress
from tests.factories import make_experiment


@pytest.fixture(autouse=True)
def _keep_the_connection(monkeypatch):
    """It is the test's transaction; a worker's would be closed when it is old."""
    monkeypatch.setattr(jobs, "close_old_connections", lambda: None)


@pytest.fixture
def experiment(scientist):
    return make_experiment(scientist)


@pytest.fixture
def job(experiment, scientist):
    return start_job(Job.Kind.SCORE, experiment, by=scientist)


def again(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def done(job, progress):
    return "12 images scored."


# --- starting -----------------------------------------------------------------------------------------


def test_a_started_job_waits_in_the_queue_for_the_worker(job, scientist):
    assert (job.state, job.requested_by, job.parameters, job.followed_by) == ("queued", scientist, {}, [])
    task = ProcrastinateJob.objects.latest("id")
    assert (task.task_name, task.args) == ("training.tasks.score", {"job_id": job.pk})


def test_jobs_of_one_experiment_run_one_after_another(job, scientist):
    start_job(Job.Kind.MEASURE, job.experiment, by=scientist)
    locks = ProcrastinateJob.objects.order_by("-id")[:2].values_list("lock", flat=True)
    assert set(locks) == {f"experiment {job.experiment_id}"}


@pytest.mark.parametrize("kind", jobs.TASKS)
def test_every_kind_has_a_task_the_worker_knows(experiment, scientist, kind):
    from procrastinate.contrib.django import app

    import_module("labeling.tasks")
    import_module("training.tasks")
    start_job(kind, experiment, by=scientist)
    assert ProcrastinateJob.objects.latest("id").task_name in app.tasks


def test_the_same_is_not_queued_twice(job, scientist):
    with pytest.raises(Conflict, match="This is queued already: score Plate 0412"):
        start_job(Job.Kind.SCORE, job.experiment, by=scientist)
    assert Job.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_who_asks_at_the_same_moment_waits_and_is_told(scientist):
    experiment = make_experiment(scientist, rows=1, columns=1, sites=1)

    def ask() -> str:
        try:
            return str(start_job(Job.Kind.MEASURE, experiment, by=scientist))
        except Conflict as told:
            return str(told)
        finally:
            connection.close()

    def somebody_waits() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            return cursor.fetchone()[0] > 0

    with ThreadPoolExecutor(1) as others:
        with transaction.atomic():
            start_job(Job.Kind.MEASURE, experiment, by=scientist)
            second = others.submit(ask)
            while not (second.done() or somebody_waits()):
                pass
        assert second.result().startswith("This is queued already")
    assert Job.objects.count() == 1


def test_something_else_may_wait_beside_it(job, experiment, scientist):
    start_job(Job.Kind.SCORE, experiment, by=scientist, parameters={"seed": 2})
    start_job(Job.Kind.MEASURE, experiment, by=scientist)
    start_job(Job.Kind.MEASURE, experiment, by=scientist, followed_by=[Job.Kind.SCORE])
    start_job(Job.Kind.SCORE, make_experiment(scientist, name="Other"), by=scientist)
    assert Job.objects.unfinished().count() == 5


@pytest.mark.parametrize("state", [Job.State.RUNNING, Job.State.SUCCEEDED])
def test_the_same_may_be_asked_for_once_it_has_begun(job, scientist, state):
    Job.objects.update(state=state, finished_at=job.requested_at)
    assert start_job(Job.Kind.SCORE, job.experiment, by=scientist).pk != job.pk


# --- running ------------------------------------------------------------------------------------------


def test_a_job_that_is_done_says_what_it_did(job):
    run_job(job.pk, done)
    job = again(job)
    assert (job.state, job.message) == ("succeeded", "12 images scored.")
    assert job.requested_at <= job.started_at <= job.finished_at


def test_a_job_is_running_while_it_works(job):
    states = []
    run_job(job.pk, lambda job, progress: states.append(again(job).state) or "done")
    assert states == ["running"]


@pytest.mark.parametrize("state", [Job.State.SUCCEEDED, Job.State.FAILED])
def test_a_second_delivery_does_nothing(job, state):
    Job.objects.update(state=state, finished_at=job.requested_at, message="as it was")
    run_job(job.pk, lambda job, progress: pytest.fail("it ran again"))
    assert again(job).message == "as it was"


def test_a_job_whose_worker_died_runs_again_from_the_start(job):
    Job.objects.update(state=Job.State.RUNNING, started_at=job.requested_at, done=7, total=9)
    seen = []
    run_job(job.pk, lambda job, progress: seen.append((again(job).done, again(job).total)) or "done")
    assert seen == [(0, None)]
    assert again(job).state == "succeeded"


def test_a_problem_is_told_in_its_own_words(job):
    def work(job, progress):
        raise BadValue("The folder is empty.")

    run_job(job.pk, work)
    job = again(job)
    assert (job.state, job.message) == ("failed", "The folder is empty.")
    assert job.finished_at is not None


def test_what_nobody_expected_is_told_calmly_and_logged(job, caplog):
    def work(job, progress):
        raise ZeroDivisionError("float division by zero")

    run_job(job.pk, work)
    message = again(job).message
    assert again(job).state == "failed"
    assert message.startswith("Something went wrong that cellqc did not expect. Nothing is lost;")
    assert message.endswith(f"give your admin this number: job {job.pk}.")
    assert "ZeroDivisionError" not in message
    assert "ZeroDivisionError" in caplog.text
    assert f"job {job.pk} (score Plate 0412) failed" in caplog.text


def test_the_audit_says_that_a_job_did_it_for_whom(job, scientist):
    def work(job, progress):
        audit.record("experiment.checked", job.experiment, by=job.requested_by)
        return "checked"

    run_job(job.pk, work)
    event = AuditEvent.objects.get(action="experiment.checked")
    assert (event.origin, event.request_id, event.actor) == ("job", f"job {job.pk}", scientist)
    assert audit.current_origin().kind == "command"


# --- the chain ----------------------------------------------------------------------------------------


def test_what_follows_is_started_with_the_rest_of_the_chain(experiment, scientist):
    first = start_job(
        Job.Kind.INGEST, experiment, by=scientist, parameters={"source": "/a"}, followed_by=["measure", "score"]
    )
    run_job(first.pk, done)
    second = Job.objects.exclude(pk=first.pk).get()
    assert (second.kind, second.followed_by, second.state) == ("measure", ["score"], "queued")
    assert (second.requested_by, second.parameters) == (scientist, {})
    run_job(second.pk, done)
    third = Job.objects.latest("id")
    assert (third.kind, third.followed_by) == ("score", [])
    run_job(third.pk, done)
    assert Job.objects.count() == 3
    assert not Job.objects.unfinished().exists()


def test_nothing_follows_a_failure(experiment, scientist):
    first = start_job(Job.Kind.MEASURE, experiment, by=scientist, followed_by=["score"])

    def work(job, progress):
        raise Conflict("not now")

    run_job(first.pk, work)
    assert Job.objects.count() == 1


def test_a_job_succeeds_although_what_follows_is_waiting_already(experiment, scientist):
    first = start_job(Job.Kind.MEASURE, experiment, by=scientist, followed_by=["score"])
    start_job(Job.Kind.SCORE, experiment, by=scientist)
    run_job(first.pk, done)
    assert again(first).state == "succeeded"
    assert Job.objects.filter(kind="score").count() == 1


# --- progress -----------------------------------------------------------------------------------------


def test_progress_is_written_at_most_twice_a_second(job, django_assert_num_queries):
    report = throttled_progress(job)
    report(1, 100)
    with django_assert_num_queries(0):
        for n in range(2, 60):
            report(n, 100)
    assert (again(job).done, again(job).total) == (1, 100)


def test_the_end_is_always_written(job):
    report = throttled_progress(job)
    report(1, 100)
    report(100, 100)
    assert again(job).done == 100


def test_progress_goes_on_after_a_while(job):
    report = throttled_progress(job, every_s=0)
    for n in (1, 2, 3):
        report(n, 100)
        assert again(job).done == n


def test_rate_and_time_left_need_something_done(job):
    assert (rate_per_s(job), seconds_left(job)) == (None, None)


def test_time_left_follows_from_the_rate(job):
    from datetime import timedelta

    job.started_at = job.requested_at
    job.finished_at = job.started_at + timedelta(seconds=10)
    job.state, job.done, job.total = Job.State.RUNNING, 20, 50
    assert rate_per_s(job) == 2
    assert seconds_left(job) == 15
    job.state = Job.State.SUCCEEDED
    assert seconds_left(job) is None
