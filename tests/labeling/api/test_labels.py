import pytest

from labeling.models import AuditEvent, Label
from tests.labeling.api.conftest import client_of, walk


def post(client, body, address="/api/v1/labels/"):
    return client.post(address, body, format="json")


def test_one_label_answers_with_one(as_scientist, experiment, scientist):
    image = experiment.images.first()
    body = {"image": image.pk, "verdict": "bad", "defects": ["blur", "uneven light"], "note": "left half"}
    response = post(as_scientist, body)
    assert response.status_code == 201
    label = Label.objects.get()
    shown = response.json()
    assert shown.pop("at")
    assert shown == {
        **body,
        "id": label.pk,
        "by": "grace",
        "by_name": "Grace Plate",
        "content_hash": image.content_hash,
        "undoes": None,
        "repeats": None,
        "request_key": None,
    }
    assert (label.by, label.experiment) == (scientist, experiment)


def test_a_list_answers_with_a_list(as_scientist, experiment):
    ids = list(experiment.images.values_list("id", flat=True))
    response = post(as_scientist, [{"image": pk, "verdict": "good"} for pk in ids])
    assert response.status_code == 201
    assert [label["image"] for label in response.json()] == ids
    assert AuditEvent.objects.filter(action="image.labelled", origin="API").count() == 12


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"image": 0, "verdict": "good"}, "entry 2, image"),
        ({"image": 10**9, "verdict": "good"}, "Entry 2: there is no image 1000000000."),
        ({"image": 10**30, "verdict": "good"}, "entry 2, image"),
        ({"verdict": "good"}, "entry 2, image: This field is required."),
        ({"image": "first", "verdict": "great"}, "is no verdict; use good, bad or unsure."),
        ({"image": "first", "verdict": "withdrawn"}, "is no verdict; use good, bad or unsure."),
        ({"image": "first", "verdict": "bad", "defects": ["ugly"]}, "is no defect"),
        ({"image": "first", "verdict": "good", "defects": ["blur"]}, "only a bad image has defects"),
        ("good", "entry 2"),
    ],
)
def test_the_whole_list_is_taken_or_nothing(as_scientist, experiment, bad, says):
    pk = experiment.images.first().pk
    if isinstance(bad, dict) and bad.get("image") == "first":
        bad = {**bad, "image": pk}
    response = post(as_scientist, [{"image": pk, "verdict": "good"}, bad])
    assert response.status_code == 400
    assert says in response.json()["detail"]
    assert not Label.objects.exists()
    assert not AuditEvent.objects.filter(action="image.labelled").exists()


@pytest.mark.parametrize("n", [0, 1001])
def test_a_list_is_neither_empty_nor_longer_than_1000(as_scientist, experiment, n):
    response = post(as_scientist, [{"image": 1, "verdict": "good"}] * n)
    assert response.status_code == 400
    assert "send 1 to 1,000" in response.json()["detail"]


def test_labels_take_as_many_queries_for_many_images(as_scientist, experiment, django_assert_num_queries):
    body = [{"image": pk, "verdict": "good"} for pk in experiment.images.values_list("id", flat=True)]
    post(as_scientist, body)
    for n in (1, 12):
        # images, whether others have their content, labels before, new labels; the audit's lock, its last event,
        # new events; a savepoint and its end; whether a training waits
        with django_assert_num_queries(10):
            post(as_scientist, body[:n])


def test_undo_answers_with_the_label_now_in_force(as_scientist, experiment):
    pk = experiment.images.first().pk
    post(as_scientist, [{"image": pk, "verdict": "good"}, {"image": pk, "verdict": "bad"}])
    response = post(as_scientist, {"image": pk}, "/api/v1/labels/undo/")
    assert response.status_code == 200
    assert response.json()["label"]["verdict"] == "good"


def test_undo_of_the_only_label_leaves_none(as_scientist, experiment):
    pk = experiment.images.first().pk
    post(as_scientist, {"image": pk, "verdict": "good"})
    response = post(as_scientist, {"image": pk}, "/api/v1/labels/undo/")
    assert response.json() == {"image": pk, "label": None}


def test_only_ones_own_label_is_undone(as_scientist, second_scientist, experiment):
    pk = experiment.images.first().pk
    post(as_scientist, {"image": pk, "verdict": "good"})
    response = post(client_of(second_scientist), {"image": pk}, "/api/v1/labels/undo/")
    assert response.status_code == 409
    assert "Grace Plate" in response.json()["detail"]


def test_undo_of_an_unknown_image_is_404(as_scientist):
    response = post(as_scientist, {"image": 5}, "/api/v1/labels/undo/")
    assert (response.status_code, response.json()["detail"]) == (404, "There is no image 5.")


def test_the_history_keeps_every_verdict_newest_first(
    as_scientist, as_data_scientist, address, experiment, django_assert_num_queries
):
    pk = experiment.images.first().pk
    for verdict in ("good", "bad", "unsure"):
        post(as_scientist, {"image": pk, "verdict": verdict})
    post(as_scientist, {"image": pk}, "/api/v1/labels/undo/")
    rows = walk(as_data_scientist, f"{address}/labels/?page_size=3")
    assert [row["verdict"] for row in rows] == ["bad", "unsure", "bad", "good"]
    assert rows[0]["undoes"] == rows[1]["id"]
    with django_assert_num_queries(3):  # experiment, channels, labels
        as_data_scientist.get(f"{address}/labels/")


KEY = "7c1e7a34-52b1-4a0c-8d6e-0f3f2b9a1c55"


def test_a_list_sent_again_gives_back_what_is_stored(as_scientist, experiment):
    body = [
        {"image": pk, "verdict": "bad", "request_key": KEY} for pk in experiment.images.values_list("id", flat=True)
    ]
    first, again = post(as_scientist, body), post(as_scientist, body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert Label.objects.count() == 12
    assert AuditEvent.objects.filter(action="image.labelled").count() == 12


def test_a_key_used_for_another_label_is_a_conflict(as_scientist, second_scientist, experiment):
    one, other = experiment.images.values_list("id", flat=True)[:2]
    post(as_scientist, {"image": one, "verdict": "good", "request_key": KEY})
    for client, label in [
        (as_scientist, {"image": one, "verdict": "bad", "request_key": KEY}),
        (client_of(second_scientist), {"image": one, "verdict": "good", "request_key": KEY}),
        (as_scientist, [{"image": pk, "verdict": "good", "request_key": KEY} for pk in (one, other)]),
    ]:
        response = post(client, label)
        assert response.status_code == 409
        assert "its request key was used for another label" in response.json()["detail"]
    assert Label.objects.count() == 1


def test_one_key_and_image_name_one_label(as_scientist, experiment):
    pk = experiment.images.first().pk
    response = post(as_scientist, [{"image": pk, "verdict": "good", "request_key": KEY}] * 2)
    assert response.status_code == 400
    assert "named twice with the same request key" in response.json()["detail"]
