"""Labelling by click or key: the answer is the tile as it now is; without scripts the way back to the page."""

from __future__ import annotations

import pytest

from labeling.models import AuditEvent, Label
from labeling.services.labels import NewLabel, label_images
from tests.factories import make_experiment, make_scored_experiment, save_cutoff_at
from tests.labeling.pages.conftest import FETCH, text_of, told

KEY = "7c1e7a34-52b1-4a0c-8d6e-0f3f2b9a1c55"


@pytest.fixture
def image(experiment):
    return experiment.images.first()


def label(client, image, /, verdict="bad", headers=FETCH, **given):
    data = {"image": image.pk, "verdict": verdict, **given}
    return client.post(f"/experiments/{image.experiment_id}/labels/", data, headers=headers)


def undo(client, image, headers=FETCH, **given):
    return client.post(
        f"/experiments/{image.experiment_id}/labels/undo/", {"image": image.pk, **given}, headers=headers
    )


def test_a_script_gets_the_tile_as_it_now_is(image, as_scientist, scientist):
    response = label(as_scientist, image, defects=["blur", "debris"], note=" left edge ")
    assert response.status_code == 200
    shown = text_of(response)
    assert shown.lstrip().startswith('<figure class="tile size-144 is-bad')
    assert f'data-image="{image.pk}"' in shown
    assert 'data-defects="blur,debris"' in shown
    saved = Label.objects.get()
    assert (saved.by, saved.defects, saved.note) == (scientist, ["blur", "debris"], "left edge")


@pytest.mark.parametrize(("verdict", "mark"), [("good", "✓"), ("bad", "✕"), ("unsure", "?")])
def test_the_tile_shows_the_verdict_with_a_mark(image, as_scientist, verdict, mark):
    shown = text_of(label(as_scientist, image, verdict))
    assert f"is-{verdict}" in shown
    assert f'<span class="tile-mark" aria-hidden="true">{mark}</span>' in shown


def test_the_tile_keeps_its_score_and_side_of_the_cutoff(image, scientist, as_scientist):
    score = image.scores.get().score
    save_cutoff_at(image.experiment, score, by=scientist)
    assert "is-flagged" not in text_of(label(as_scientist, image))
    save_cutoff_at(image.experiment, score + 0.001, by=scientist)
    assert "is-flagged" in text_of(label(as_scientist, image))


def test_the_tile_keeps_the_channel_that_is_looked_at(image, as_scientist):
    assert f"/images/{image.pk}/thumbnail/v1/1.jpg" in text_of(label(as_scientist, image, view="1"))


@pytest.mark.parametrize("view", ["", "a/b", "9", "../x"])
def test_a_channel_that_is_not_there_saves_the_label_all_the_same(image, as_scientist, view):
    response = label(as_scientist, image, view=view)
    assert response.status_code == 200
    assert f"/images/{image.pk}/thumbnail/v1/composite.jpg" in text_of(response)


def test_one_channel_has_no_colour_picture(scientist, as_scientist):
    single = make_scored_experiment(scientist, name="One", plates=("1",), channels=("DNA",)).images.first()
    assert f"/images/{single.pk}/thumbnail/v1/0.jpg" in text_of(label(as_scientist, single, view="composite"))


def test_an_image_that_is_not_scored_can_be_labelled(scientist, as_scientist):
    image = make_experiment(scientist).images.first()
    assert label(as_scientist, image).status_code == 200


def test_a_plain_form_leads_back_to_its_page(image, as_scientist):
    back = f"http://testserver/experiments/{image.experiment_id}/review/?value=-0.5"
    response = label(as_scientist, image, "good", headers={"Referer": back})
    assert (response.status_code, response["Location"]) == (302, back)
    assert "0412 A01 · s1 is labelled good." in text_of(as_scientist.get(back))


def test_a_plain_form_from_nowhere_leads_to_review(image, as_scientist):
    response = label(as_scientist, image, "good", headers={"Referer": "https://elsewhere.example/"})
    assert response["Location"] == f"/experiments/{image.experiment_id}/review/"


@pytest.mark.parametrize(
    ("given", "status", "sentence"),
    [
        ({"verdict": "ugly"}, 400, "Entry 1: 'ugly' is no verdict; use good, bad or unsure."),
        ({"verdict": "withdrawn"}, 400, "Entry 1: 'withdrawn' is no verdict; use good, bad or unsure."),
        ({"verdict": "good", "defects": ["blur"]}, 400, "Entry 1: only a bad image has defects; this one is good."),
        ({"image": "first"}, 400, "Say which image is meant."),
        ({"image": ""}, 400, "Say which image is meant."),
        ({"image": "²"}, 400, "Say which image is meant."),
        ({"image": "999999"}, 404, "There is nothing here"),
        ({"image": "9" * 30}, 404, "There is nothing here"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(image, as_scientist, given, status, sentence):
    response = label(as_scientist, image, **{"verdict": "bad", **given})
    assert response.status_code == status
    assert sentence in text_of(response)
    assert not Label.objects.exists()


def test_an_image_of_another_experiment_is_not_there(image, scientist, as_scientist):
    stranger = make_experiment(scientist, name="Other", plates=("9",)).images.first()
    assert label(as_scientist, image, image=stranger.pk).status_code == 404


def test_undo_answers_with_the_tile_without_its_label(image, as_scientist):
    label(as_scientist, image)
    shown = text_of(undo(as_scientist, image))
    assert 'data-verdict=""' in shown
    assert "is-bad" not in shown


def test_undo_of_somebody_elses_label_says_whose_it_is(image, second_scientist, as_scientist):
    label_images([NewLabel(image.pk, "good")], by=second_scientist)
    response = undo(as_scientist, image)
    assert response.status_code == 409
    assert text_of(response) == "The last label of 0412 A01 · s1 is Rosa Well's; give your own verdict instead."


def test_undo_without_scripts_tells_on_the_page(image, as_scientist):
    back = f"http://testserver/experiments/{image.experiment_id}/review/"
    undo(as_scientist, image, headers={"Referer": back})
    assert told(as_scientist.get(back)) == ["0412 A01 · s1 has no label to undo."]


def test_a_label_costs_few_queries(image, as_scientist, django_assert_num_queries):
    label(as_scientist, image)
    # session, person, roles, image; who has its content, label before, new label, two for the training that may be
    # due, three for the audit, a savepoint and its end; two runs, cutoff, image with scores, label in force, reasons,
    # channels
    with django_assert_num_queries(21):
        label(as_scientist, image)


# --- sent again, two people, somebody else's -----------------------------------------------------------


def test_a_label_that_is_sent_again_is_stored_once(image, as_scientist):
    first = label(as_scientist, image, request_key=KEY)
    again = label(as_scientist, image, request_key=KEY)
    assert (first.status_code, again.status_code) == (200, 200)
    assert text_of(again).lstrip().startswith('<figure class="tile size-144 is-bad')
    assert str(Label.objects.get().request_key) == KEY
    assert AuditEvent.objects.filter(action="image.labelled").count() == 1


def test_an_undo_that_is_sent_again_goes_one_label_back(image, as_scientist):
    label(as_scientist, image, "good")
    label(as_scientist, image, "bad")
    undo(as_scientist, image, request_key=KEY)
    assert "is-good" in text_of(undo(as_scientist, image, request_key=KEY))
    assert Label.objects.count() == 3


def test_a_key_that_is_none_is_refused(image, as_scientist):
    response = label(as_scientist, image, request_key="mine")
    assert (response.status_code, text_of(response)) == (400, "'mine' is no request key; reload the page.")


def test_what_waited_in_a_browser_is_saved_for_its_own_person_only(image, as_scientist):
    response = label(as_scientist, image, person="rosa")
    assert response.status_code == 401
    assert text_of(response) == "This is rosa's, but grace is logged in. Log in as rosa to save it."
    assert label(as_scientist, image, person="grace").status_code == 200
    assert Label.objects.get().by.username == "grace"


def test_two_people_at_once_are_told_and_both_stay_in_the_history(image, as_scientist, second_scientist, scientist):
    """Grace's page shows no label when she says bad; Rosa has said good in the meantime."""
    theirs = label_images([NewLabel(image.pk, "good")], by=second_scientist)[0]
    shown = text_of(label(as_scientist, image, "bad", seen=""))
    assert "is-bad" in shown
    assert (
        "Rosa Well said good of 0412 A01 · s1 meanwhile. Your word is in force now; both stand in the history." in shown
    )
    history = list(Label.objects.filter(image=image).values_list("verdict", "by"))
    assert history == [("bad", scientist.pk), ("good", second_scientist.pk)]
    event = AuditEvent.objects.filter(action="image.labelled").latest("sequence")
    assert (event.old["by"], event.new["by"]) == ("rosa", "grace")
    # Where her page shows Rosa's verdict, or she agrees with it, there is nothing to tell.
    theirs = label_images([NewLabel(image.pk, "good")], by=second_scientist)[0]
    assert "meanwhile" not in text_of(label(as_scientist, image, "bad", seen=theirs.pk))
    label_images([NewLabel(image.pk, "bad")], by=second_scientist)
    assert "meanwhile" not in text_of(label(as_scientist, image, "bad", seen=""))


def test_the_tile_shows_what_somebody_else_said_since(image, as_scientist, second_scientist):
    """A resent label is not said again: the other's later word stays in force, and the tile shows it."""
    label(as_scientist, image, "bad", request_key=KEY)
    label_images([NewLabel(image.pk, "good")], by=second_scientist)
    assert "is-good" in text_of(label(as_scientist, image, "bad", request_key=KEY))
