from datetime import timedelta

from django.utils import timezone

from labeling.models import Job


def test_a_running_job_tells_how_far_it_is(as_scientist, experiment, scientist):
    job = Job.objects.create(
        experiment=experiment,
        kind=Job.Kind.MEASURE,
        state=Job.State.RUNNING,
        done=50,
        total=100,
        requested_by=scientist,
        started_at=timezone.now() - timedelta(seconds=10),
    )
    shown = as_scientist.get(f"/api/v1/jobs/{job.pk}/").json()
    rate, left = shown.pop("rate_per_s"), shown.pop("seconds_left")
    assert 4 < rate <= 5
    assert 10 <= left < 13
    assert shown == {
        "id": job.pk,
        "kind": "measure",
        "state": "running",
        "done": 50,
        "total": 100,
        "message": "",
        "experiment": experiment.pk,
    }


def test_a_queued_job_has_no_rate(as_data_scientist, experiment, scientist):
    job = Job.objects.create(experiment=experiment, kind=Job.Kind.SCORE, requested_by=scientist)
    shown = as_data_scientist.get(f"/api/v1/jobs/{job.pk}/").json()
    assert (shown["state"], shown["total"], shown["rate_per_s"]) == ("queued", None, None)
