import pytest

from labeling.models import Image
from labeling.services.labels import NewLabel, label_images, undo_label
from tests.factories import save_cutoff_at
from tests.labeling.api.test_images import scores_by_image


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
        # experiment, channels; run, run and cutoff; below, above; images, labels
        with django_assert_num_queries(9):
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
