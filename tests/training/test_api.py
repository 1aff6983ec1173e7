import pytest
from rest_framework.test import APIClient

from labeling.models import Job
from tests.factories import make_experiment


@pytest.fixture
def as_data_scientist(data_scientist):
    client = APIClient()
    client.force_authenticate(data_scientist)
    return client


def test_score_queues_a_job(as_data_scientist, data_scientist, scientist):
    experiment = make_experiment(scientist)
    response = as_data_scientist.post(f"/api/v1/experiments/{experiment.pk}/score/")
    assert response.status_code == 202
    job = Job.objects.get(pk=response.json()["job"])
    assert (job.kind, job.experiment, job.requested_by) == ("score", experiment, data_scientist)
    assert (job.parameters, job.followed_by) == ({}, [])


def test_the_same_scoring_is_not_queued_twice(as_data_scientist, scientist):
    experiment = make_experiment(scientist)
    as_data_scientist.post(f"/api/v1/experiments/{experiment.pk}/score/")
    assert as_data_scientist.post(f"/api/v1/experiments/{experiment.pk}/score/").status_code == 409


def test_an_unknown_experiment_is_404(as_data_scientist):
    response = as_data_scientist.post("/api/v1/experiments/12/score/")
    assert (response.status_code, response.json()["detail"]) == (404, "There is no experiment 12.")


def test_what_the_network_saw_can_be_left_out(as_data_scientist, experiment):
    as_data_scientist.post(f"/api/v1/experiments/{experiment.pk}/score/", {"embeddings": False}, format="json")
    assert Job.objects.get().parameters == {"embeddings": False}


def test_saying_nothing_of_the_network_leaves_it_in(as_data_scientist, experiment):
    as_data_scientist.post(
        f"/api/v1/experiments/{experiment.pk}/score/", "seed=1", content_type="application/x-www-form-urlencoded"
    )
    assert Job.objects.get().parameters == {"seed": 1}
