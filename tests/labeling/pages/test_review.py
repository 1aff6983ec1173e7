"""Review: move the cutoff, see what falls out, save it with its reason."""

from __future__ import annotations

import re

import numpy as np
import pytest

from labeling.models import Cutoff, ScoreRun, User
from labeling.services.labels import NewLabel, label_images
from labeling.services.scores import scores_of
from tests.factories import add_scores, make_experiment, make_scored_experiment, save_cutoff_at
from tests.labeling.pages.conftest import HTMX, text_of, told


@pytest.fixture
def run(experiment):
    return ScoreRun.objects.get()


def review(client, experiment, query="", **options):
    return client.get(f"/experiments/{experiment.pk}/review/{query}", **options)


def tiles(response) -> list[int]:
    return [int(pk) for pk in re.findall(r'<figure class="tile [^>]*data-image="(\d+)"', text_of(response))]


# --- the page -------------------------------------------------------------------------------------------


def test_before_scoring_there_is_a_next_step(scientist, as_scientist):
    response = review(as_scientist, make_experiment(scientist))
    assert response.status_code == 200
    assert "There are no scores to review yet" in text_of(response)


def test_without_a_saved_cutoff_the_automatic_one_is_shown(experiment, as_scientist):
    response = review(as_scientist, experiment)
    assert (response.context["choice"].value, response.context["choice"].how) == (-0.5, "automatic")
    assert "no cutoff saved yet" in text_of(response)


def test_the_saved_cutoff_is_shown_with_its_history(experiment, scientist, as_scientist):
    save_cutoff_at(experiment, -0.6, by=scientist, reason="dust lies below")
    response = review(as_scientist, experiment)
    assert response.context["choice"].value == -0.6
    assert "dust lies below" in text_of(response)
    assert "no cutoff saved yet" not in text_of(response)


def test_every_image_is_one_tile(experiment, as_scientist):
    shown = tiles(review(as_scientist, experiment, "?value=-0.55"))
    assert sorted(shown) == sorted(experiment.images.values_list("id", flat=True))


def test_a_cutoff_tried_shows_what_would_change(experiment, scientist, as_scientist):
    save_cutoff_at(experiment, -0.5, by=scientist)
    more = review(as_scientist, experiment, "?value=-0.45").context["bands"]
    assert (more[0].name, more[0].title) == ("changes", "Would fall out")
    less = review(as_scientist, experiment, "?value=-0.6").context["bands"]
    assert less[0].title == "Would come back"


def test_percent_says_that_the_share_is_an_input(experiment, as_scientist):
    response = review(as_scientist, experiment, "?percent=25")
    assert response.context["preview"].flagged == 3
    assert "25.0 % is an input, not a finding" in text_of(response)


def test_the_histogram_shows_every_image(experiment, as_scientist):
    assert sum(bar.count for bar in review(as_scientist, experiment).context["bars"]) == 12


def test_scores_that_are_all_alike_can_be_reviewed(scientist, as_scientist):
    experiment = make_experiment(scientist)
    add_scores(experiment, by=scientist, scores=[-0.5] * 12)
    for query in ("", "?percent=0", "?percent=100", "?percent=50"):
        assert review(as_scientist, experiment, query).status_code == 200


def test_what_one_may_not_do_is_not_offered(experiment, as_scientist, as_data_scientist):
    assert 'id="save-form"' in text_of(review(as_scientist, experiment))
    shown = text_of(review(as_data_scientist, experiment))
    assert 'id="save-form"' not in shown
    assert 'name="verdict"' not in shown


def test_labels_show_on_tiles(experiment, scientist, as_scientist):
    image = experiment.images.first()
    label_images([NewLabel(image.pk, "bad", ("blur",))], by=scientist)
    shown = text_of(review(as_scientist, experiment))
    tile = re.search(rf'<figure class="([^"]*)"[^>]*data-image="{image.pk}"[^>]*>', shown)
    assert "is-bad" in tile[1]
    assert 'data-defects="blur"' in tile[0]


# --- the fragment ---------------------------------------------------------------------------------------


def test_htmx_gets_the_bands_alone(experiment, as_scientist):
    response = review(as_scientist, experiment, "?value=-0.55", headers=HTMX)
    assert text_of(response).lstrip().startswith('<div id="bands" data-cutoff="-0.55"')
    assert "<html" not in text_of(response)
    assert "bars" not in response.context


def test_one_band_is_walked_page_after_page(scientist, as_scientist):
    experiment = make_scored_experiment(scientist, rows=8, columns=10, sites=2)
    address, seen = "?band=good&value=-2", []
    for _ in range(5):
        response = review(as_scientist, experiment, address, headers=HTMX)
        seen += tiles(response)
        more = re.search(r'class="button" href="([^"]+)"', text_of(response))
        if not more:
            break
        address = more[1].replace("&amp;", "&")
    total = response.context["bands"][0].total
    assert len(seen) == len(set(seen)) == total == 149


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("?value=low", "The cutoff 'low' is not a number."),
        ("?value=nan", "The cutoff 'nan' is not a number."),
        ("?percent=200", "The percentage to flag is 200; it must lie between 0 and 100."),
        ("?value=-0.5&percent=3", "Give exactly one of value, percent or automatic."),
        ("?band=ugly", "There is no band called 'ugly' for this cutoff."),
        ("?band=changes", "There is no band called 'changes' for this cutoff."),
        ("?band=good&after=nowhere", "'nowhere' is no position in a band; reload the page."),
        (f"?band=good&after=-0.5,{10**30}", "is no position in a band"),
        ("?view=7", "There is no channel number 7."),
        ("?size=1000", "Tiles are 96, 144, 224 pixels wide."),
    ],
)
def test_a_bad_value_gives_a_sentence(experiment, as_scientist, query, sentence):
    response = review(as_scientist, experiment, query, headers=HTMX)
    assert response.status_code == 400
    assert sentence in text_of(response)
    assert review(as_scientist, experiment, query).status_code == 400


def test_the_size_of_tiles_is_remembered(experiment, scientist, as_scientist):
    review(as_scientist, experiment, "?size=224")
    assert User.objects.get(pk=scientist.pk).tile_size == 224
    assert review(as_scientist, experiment).context["size"] == 224


def test_the_page_costs_the_same_for_many_images(scientist, as_scientist, django_assert_num_queries):
    for columns in (8, 16):
        experiment = make_scored_experiment(scientist, name=str(columns), plates=(str(columns),), columns=columns)
        save_cutoff_at(experiment, -0.5, by=scientist)
        scores_of(ScoreRun.objects.latest_of(experiment).pk)
        # Session, person, roles; experiment, run, cutoff, channels; tiles and labels of three bands; history.
        with django_assert_num_queries(14):
            review(as_scientist, experiment)
        with django_assert_num_queries(13):  # no history
            review(as_scientist, experiment, headers=HTMX)


# --- the vector -----------------------------------------------------------------------------------------


def test_the_browser_counts_with_the_same_numbers(run, as_scientist):
    response = as_scientist.get(f"/scores/{run.pk}.bin")
    scores = np.frombuffer(response.content, "<f4", 12)
    assert scores.tolist() == scores_of(run.pk).ascending.tolist()
    assert len(response.content) == 12 * 6
    assert response["Content-Type"] == "application/octet-stream"


def test_a_vector_never_changes_and_is_not_shared(run, as_scientist):
    policy = as_scientist.get(f"/scores/{run.pk}.bin")["Cache-Control"]
    assert {"private", "immutable", "max-age=31536000"} <= set(policy.split(", "))


# --- saving ---------------------------------------------------------------------------------------------


def save(client, run, /, **given):
    page = f"http://testserver/experiments/{run.experiment_id}/review/"
    data = {"run": run.pk, "value": "-0.55", "reason": "dust lies below", **given}
    return client.post(f"/experiments/{run.experiment_id}/cutoff/", data, headers={"Referer": page}, follow=True)


def test_a_cutoff_is_saved_with_a_plain_form(run, scientist, as_scientist):
    response = save(as_scientist, run)
    cutoff = Cutoff.objects.get()
    assert (cutoff.value, cutoff.how, cutoff.reason, cutoff.by) == (-0.55, "by hand", "dust lies below", scientist)
    assert told(response) == [f"Cutoff -0.5500 is saved: {cutoff.n_flagged} of 12 flagged."]


def test_how_it_was_chosen_is_saved_too(run, as_scientist):
    save(as_scientist, run, value="", percent="25")
    save(as_scientist, run, value="", automatic="1")
    automatic, percent = Cutoff.objects.all()
    assert (percent.how, percent.percent, percent.n_flagged) == ("percent", 25, 3)
    assert (automatic.how, automatic.value) == ("automatic", -0.5)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"reason": " "}, "Say in a few words why the cutoff is here; the reason is kept with it."),
        ({"value": "low"}, "The cutoff 'low' is not a number."),
        ({"percent": "3"}, "Give exactly one of value, percent or automatic."),
        ({"run": "1"}, "The experiment was scored again meanwhile. Look at the new scores and save again."),
        ({"score": "beauty"}, "'beauty' is no score; use isolation, blended or promoted."),
        ({"score": "blended"}, "Plate 0412 has no blended score yet; label some images and retrain first."),
    ],
)
def test_what_cannot_be_saved_is_told_on_the_page(run, as_scientist, given, sentence):
    assert told(save(as_scientist, run, **given)) == [sentence]
    assert not Cutoff.objects.exists()


def test_a_cutoff_for_scores_that_were_replaced_is_not_saved(run, scientist, as_scientist):
    add_scores(run.experiment, by=scientist, seed=2)
    assert told(save(as_scientist, run))[0].startswith("The experiment was scored again meanwhile.")
    assert not Cutoff.objects.exists()
