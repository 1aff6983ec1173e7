"""What to label next: from the ranked list, and where that runs out, nearest the cutoff."""

import pytest

from labeling.models import Image, Job, LabelQueue, QueueEntry
from labeling.services.labels import NewLabel, label_images, undo_label
from labeling.services.learning import QUEUE_LOW
from tests.factories import label_all, make_learnable_experiment, save_cutoff_at
from tests.labeling.api.conftest import client_of
from tests.labeling.api.test_images import scores_by_image
from training.queue import QUEUES_KEPT
from training.retraining import retrain
from training.scoring import score_experiment


@pytest.fixture(autouse=True)
def _quickly(quick_learning):
    """All of these."""


@pytest.fixture
def as_scientist(scientist):
    return client_of(scientist)


@pytest.fixture
def address(experiment):
    return f"/api/v1/experiments/{experiment.pk}"


def queue(client, address, limit=20):
    return client.get(f"{address}/queue/?limit={limit}").json()["results"]


def nearest(scores, cutoff):
    return sorted(scores, key=lambda pk: abs(scores[pk] - cutoff))


def test_the_images_nearest_the_saved_cutoff_come_first(as_scientist, address, experiment, scientist):
    save_cutoff_at(experiment, -0.6, by=scientist)
    rows = queue(as_scientist, address, 5)
    assert [row["id"] for row in rows] == nearest(scores_by_image(experiment), -0.6)[:5]
    for row in rows:
        side = "below" if row["isolation_score"] < -0.6 else "above"
        assert f"{side} the cutoff -0.6000" in row["why"]
        assert row["flagged"] is (side == "below")


def test_without_a_saved_cutoff_the_automatic_one_leads(as_scientist, address, experiment):
    rows = queue(as_scientist, address)
    assert [row["id"] for row in rows] == nearest(scores_by_image(experiment), -0.5)
    assert "the automatic cutoff (none is saved yet) -0.5000" in rows[0]["why"]


def test_labelled_and_broken_images_are_not_asked_for(as_scientist, address, experiment, scientist):
    first, second, third = queue(as_scientist, address)[:3]
    label_images([NewLabel(first["id"], "unsure"), NewLabel(second["id"], "good")], by=scientist)
    Image.objects.filter(pk=third["id"]).update(state="failed", problem="cut off")
    undo_label(Image.objects.get(pk=second["id"]), by=scientist)
    ids = [row["id"] for row in queue(as_scientist, address)]
    assert len(ids) == 10
    assert ids[0] == second["id"]
    assert first["id"] not in ids
    assert third["id"] not in ids


def test_the_queue_takes_as_many_queries_for_any_length(as_scientist, address, django_assert_num_queries):
    queue(as_scientist, address)
    for limit in (1, 12):
        # experiment, channels; run, queue; cutoff, below, above; runs of both kinds and cutoff; images, labels,
        # reasons
        with django_assert_num_queries(13):
            queue(as_scientist, address, limit)


@pytest.mark.parametrize("limit", ["0", "501", "many"])
def test_a_limit_that_makes_no_sense_is_refused(as_scientist, address, limit):
    response = as_scientist.get(f"{address}/queue/?limit={limit}")
    assert response.status_code == 400
    assert "limit" in response.json()["detail"]


def test_there_is_no_queue_before_the_first_scoring(as_scientist, scientist):
    from tests.factories import make_experiment

    response = as_scientist.get(f"/api/v1/experiments/{make_experiment(scientist).pk}/queue/")
    assert response.status_code == 409
    assert "score it first" in response.json()["detail"]


# --- the ranked list --------------------------------------------------------------------------------------


@pytest.fixture
def plate(scientist):
    return make_learnable_experiment(scientist)


def test_scoring_ranks_the_images_before_there_is_any_label(plate, as_scientist):
    rows = queue(as_scientist, f"/api/v1/experiments/{plate[0].pk}", 10)
    entries = list(LabelQueue.objects.get().entries.order_by("rank"))
    assert [row["id"] for row in rows] == [entry.image_id for entry in entries[:10]]
    assert [row["why"] for row in rows] == [entry.why for entry in entries[:10]]
    assert {entry.is_random for entry in entries} == {True, False}


def test_a_label_takes_its_image_out_at_once_and_undoing_brings_it_back(plate, as_scientist, scientist):
    address = f"/api/v1/experiments/{plate[0].pk}"
    first, second = queue(as_scientist, address)[:2]
    label_images([NewLabel(first["id"], "unsure")], by=scientist)
    assert queue(as_scientist, address)[0]["id"] == second["id"]
    undo_label(Image.objects.get(pk=first["id"]), by=scientist)
    assert queue(as_scientist, address)[0]["id"] == first["id"]


def test_the_newest_model_orders_the_list_though_nobody_promoted_it(plate, as_scientist, scientist):
    experiment, good, bad = plate
    label_all(good[:6], bad[:4], by=scientist)
    before = queue(as_scientist, f"/api/v1/experiments/{experiment.pk}", 30)
    model = retrain(experiment, by=scientist)
    after = queue(as_scientist, f"/api/v1/experiments/{experiment.pk}", 30)
    assert LabelQueue.objects.first().run.model_version == model
    assert [row["id"] for row in after] != [row["id"] for row in before]
    assert all(row["blended_score"] is not None for row in after)


def test_a_served_list_is_two_queries_of_the_queue(plate, as_scientist, django_assert_num_queries):
    queue(as_scientist, f"/api/v1/experiments/{plate[0].pk}", 1)
    # experiment, channels; run; queue, entries; runs of both kinds and cutoff; images, labels, reasons
    with django_assert_num_queries(11):
        queue(as_scientist, f"/api/v1/experiments/{plate[0].pk}", 20)


def test_where_the_list_runs_out_the_nearest_to_the_cutoff_follow(plate, as_scientist):
    QueueEntry.objects.filter(rank__gte=3).delete()
    rows = queue(as_scientist, f"/api/v1/experiments/{plate[0].pk}", 48)
    assert len({row["id"] for row in rows}) == 48
    assert "automatic cutoff" in rows[3]["why"]


def test_a_list_that_runs_low_is_renewed_in_the_background(scientist, settings):
    settings.RETRAIN_AFTER = 1000
    experiment = make_learnable_experiment(scientist, rows=8, columns=8)[0]
    assert experiment.images.count() > 2 * QUEUE_LOW
    QueueEntry.objects.filter(rank__gte=QUEUE_LOW).delete()
    asked = [entry.image_id for entry in LabelQueue.objects.get().entries.all()]
    label_images([NewLabel(pk, "good") for pk in asked[: QUEUE_LOW // 2]], by=scientist)
    assert not Job.objects.exists()
    label_images([NewLabel(asked[-1], "good")], by=scientist)
    assert Job.objects.get().parameters == {"automatic": True}


def test_old_lists_go(plate, scientist):
    for seed in range(QUEUES_KEPT + 1):
        score_experiment(plate[0], by=scientist, seed=seed)
    assert LabelQueue.objects.count() == QUEUES_KEPT
