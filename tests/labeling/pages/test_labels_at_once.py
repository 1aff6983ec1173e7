"""Many images at once from a page: by a script, by ticked boxes, or a whole well; and one undo."""

from __future__ import annotations

from uuid import uuid4

import pytest

from labeling.models import Label
from labeling.services.labels import NewLabel, label_images
from tests.factories import make_experiment
from tests.labeling.pages.conftest import FETCH, text_of, told


@pytest.fixture
def ids(experiment):
    return list(experiment.images.order_by("id").values_list("id", flat=True))


@pytest.fixture
def base(experiment):
    return f"/experiments/{experiment.pk}/labels/many/"


def give(client, base, ids, verdict="bad", headers=FETCH, **given):
    data = {"images": ",".join(map(str, ids)), "confirmed": len(ids), "verdict": verdict, **given}
    return client.post(base, data, headers=headers)


def test_the_answer_is_the_tiles_that_changed_and_how_many(base, ids, as_scientist):
    response = give(as_scientist, base, ids[:3], defects=["blur"])
    assert response.status_code == 200
    shown = text_of(response)
    assert shown.count("<figure") == shown.count("is-bad") == 3
    assert [f'data-image="{pk}"' in shown for pk in ids] == [True] * 3 + [False] * 9
    assert "3 images labelled bad (blur)." in shown


def test_a_whole_well_is_named_by_its_number(experiment, base, as_scientist):
    well = experiment.images.first().well
    response = as_scientist.post(base, {"well": well.pk, "confirmed": 2, "verdict": "good"}, headers=FETCH)
    assert "2 images of well A01 labelled good." in text_of(response)
    assert set(Label.objects.values_list("image__well", flat=True)) == {well.pk}


def test_the_images_of_a_well_are_listed_with_their_places(experiment, as_scientist):
    well = experiment.images.first().well
    answer = as_scientist.get(f"/experiments/{experiment.pk}/wells/{well.pk}/images/").json()
    assert answer["name"] == "A01"
    assert list(answer["images"].values()) == ["A01 · s1", "A01 · s2"]


@pytest.mark.parametrize(
    ("given", "status", "sentence"),
    [
        ({"confirmed": 11}, 409, "You confirmed 11 images, but 12 are named. Nothing was saved; look once more."),
        ({"confirmed": ""}, 400, "Say how many images are ticked, so that none is labelled by mistake."),
        ({"confirmed": "all"}, 400, "Say how many images are ticked, so that none is labelled by mistake."),
        ({"images": ""}, 400, "Tick the images that are meant."),
        ({"images": "1,x"}, 400, "Tick the images that are meant."),
        ({"images": "9" * 30}, 400, "Tick the images that are meant."),
        (
            {"images": "9" * 18, "confirmed": 1},
            400,
            "Not in Plate 0412: 1 of the 1 images that are named. Nothing was saved.",
        ),
        ({"verdict": "ugly"}, 400, "Entry 1: 'ugly' is no verdict; use good, bad or unsure."),
        ({"person": "rosa"}, 401, "This is rosa's, but grace is logged in. Log in as rosa to save it."),
        ({"well": "x"}, 400, "There is no well 'x'."),
        ({"well": "999999"}, 404, "There is nothing here"),
    ],
)
def test_nonsense_is_refused_in_a_sentence_and_labels_nothing(base, ids, as_scientist, given, status, sentence):
    response = give(as_scientist, base, ids, **given)
    assert response.status_code == status
    assert sentence in text_of(response)
    assert not Label.objects.exists()


def test_a_well_of_another_experiment_is_not_there(base, scientist, as_scientist):
    well = make_experiment(scientist, name="Other", plates=("9",)).images.first().well_id
    response = as_scientist.post(base, {"well": well, "confirmed": 2, "verdict": "good"}, headers=FETCH)
    assert response.status_code == 404


def test_without_scripts_boxes_are_ticked_and_counted(experiment, base, ids, as_scientist):
    back = f"http://testserver/experiments/{experiment.pk}/review/"
    page = text_of(as_scientist.get(back))
    assert f'<input type="checkbox" name="images" value="{ids[0]}" form="many"' in page
    assert f'<form id="many" class="many" method="post" action="{base}"' in page
    data = {"images": ids[:2], "confirmed": "2", "verdict": "unsure"}
    response = as_scientist.post(base, data, headers={"Referer": back})
    assert (response.status_code, response["Location"]) == (302, back)
    assert told(as_scientist.get(back)) == ["2 images labelled unsure."]


def test_without_scripts_a_well_is_labelled_on_its_plate(experiment, as_scientist, as_data_scientist):
    well = experiment.images.first().well_id
    address = f"/experiments/{experiment.pk}/plates/?well={well}"
    assert "Label all 2 fields of this well" in text_of(as_scientist.get(address))
    assert "Label all" not in text_of(as_data_scientist.get(address))


def test_who_may_not_label_is_not_offered_to(experiment, as_data_scientist):
    page = text_of(as_data_scientist.get(f"/experiments/{experiment.pk}/review/"))
    assert "tile-select" not in page
    assert 'id="many"' not in page


def test_one_undo_answers_with_all_tiles(base, ids, as_scientist, second_scientist):
    key = str(uuid4())
    give(as_scientist, base, ids, request_key=key)
    label_images([NewLabel(ids[0], "good")], by=second_scientist)
    response = as_scientist.post(f"{base}undo/", {"batch": key}, headers=FETCH)
    shown = text_of(response)
    assert shown.count("<figure") == 11
    assert "is-bad" not in shown
    assert "The labels of 11 images are taken back." in shown
    assert "Left as they are: 1 image labelled again or taken back since." in shown


@pytest.mark.parametrize(("batch", "status"), [("", 400), ("x", 400), ("00000000-0000-4000-8000-000000000000", 409)])
def test_an_undo_of_nothing_says_so(base, as_scientist, batch, status):
    assert as_scientist.post(f"{base}undo/", {"batch": batch}, headers=FETCH).status_code == status


def test_others_verdicts_that_came_in_meanwhile_are_told(base, ids, as_scientist, second_scientist):
    label_images([NewLabel(pk, "good") for pk in ids[:2]], by=second_scientist)
    shown = text_of(give(as_scientist, base, ids, seen="," * 11))
    assert "Rosa Well said otherwise of 2 of them meanwhile. Your word is in force now; both stand in the history." in (
        shown
    )


def test_many_tiles_cost_as_many_queries_as_two(base, ids, as_scientist, django_assert_num_queries):
    give(as_scientist, base, ids)
    for n in (2, 12):
        # session, person, roles, experiment; ten of the service; two runs, cutoff, images with scores, labels in
        # force, channels
        with django_assert_num_queries(21):
            give(as_scientist, base, ids[:n])


def test_tiles_are_shown_as_they_are_now(experiment, ids, scientist, as_data_scientist):
    strange = make_experiment(scientist, name="Other", plates=("9",)).images.first().pk
    label_images([NewLabel(ids[1], "good")], by=scientist)
    shown = text_of(as_data_scientist.get(f"/experiments/{experiment.pk}/tiles/?images={ids[0]},{ids[1]},{strange}"))
    assert (shown.count("<figure"), shown.count("is-good")) == (2, 1)
    assert as_data_scientist.get(f"/experiments/{experiment.pk}/tiles/?images=x").status_code == 400
