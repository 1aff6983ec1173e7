"""Review: move the cutoff, see what falls out, save it with its reason."""

from __future__ import annotations

import re

import numpy as np
import pytest

from labeling.models import Cutoff, ModelVersion, ScoreRun, User
from labeling.services.labels import NewLabel, label_images
from labeling.services.run_tables import metric_values, run_table
from labeling.services.scores import scores_of, store_scores
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
    more = review(as_scientist, experiment, "?value=-0.4").context["bands"]
    assert (more[0].name, more[0].title) == ("out", "Would fall out")
    less = review(as_scientist, experiment, "?value=-0.7").context["bands"]
    assert (less[0].name, less[0].title) == ("back", "Would come back")
    old = review(as_scientist, experiment, "?value=-0.7&band=changes").context["bands"]
    assert [band.name for band in old] == ["back"]


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
        review(as_scientist, experiment)  # a process reads the numbers of a run once
        # Session, person, roles; experiment, channels, runs, models, cutoff; tiles, labels, reasons; scores, history,
        # names.
        with django_assert_num_queries(18):
            review(as_scientist, experiment)
        with django_assert_num_queries(13):  # no history
            review(as_scientist, experiment, headers=HTMX)


# --- along a metric -------------------------------------------------------------------------------------

SATURATED = "CellQC_SaturatedPercent_DNA"
ALSO = f"raw,,1.0,{SATURATED}"


def test_along_a_metric_both_limits_are_shown_and_kept_by_a_plain_form(experiment, as_scientist):
    response = review(as_scientist, experiment, f"?axis={SATURATED}&unit=z&low=-1.5&high=0.5&unused=1")
    choice = response.context["choice"]
    assert [str(one) for one in choice.conditions] == [f"z,-1.5,0.5,{SATURATED}"]
    assert choice.how == "unused"
    assert set(response.context["places"]) == {"low", "high"}
    assert sum(bar.count for bar in response.context["bars"]) == 12
    shown = text_of(response)
    assert "saturated &lt; -1.5 robust SD or &gt; 0.5 robust SD in DNA" in shown
    assert "In robust SDs from the median of its plate." in shown


def test_empty_limits_take_the_condition_out(experiment, as_scientist):
    response = review(as_scientist, experiment, f"?axis={SATURATED}&low=&high=&value=-0.5&also={ALSO}")
    assert response.context["choice"].conditions == ()


def test_an_address_with_a_rule_holds_all_of_it(run, scientist, as_scientist):
    save(as_scientist, run, also=[ALSO])
    saved = review(as_scientist, run.experiment).context["choice"]
    assert [str(one) for one in saved.conditions] == [ALSO]
    assert review(as_scientist, run.experiment, "?value=-0.5").context["choice"].conditions == ()
    again = review(as_scientist, run.experiment, f"?also={ALSO}").context["choice"]
    assert (again.value, again.how, len(again.conditions)) == (-0.55, "by hand", 1)


def test_a_rule_is_saved_with_a_plain_form_and_brought_back_from_the_history(run, as_scientist):
    response = save(as_scientist, run, value="", unused="1", also=[ALSO, ""], name="bright")
    first = Cutoff.objects.get()
    assert (first.how, first.name, first.conditions[0]["high"]) == ("unused", "bright", 1)
    assert told(response) == [f"Rule 'bright' is saved: {first.n_flagged} of 12 flagged."]
    save(as_scientist, run)
    page = review(as_scientist, run.experiment)
    back = [row["back"] for row in page.context["history"]][1]
    assert [row["cutoff"] for row in page.context["named"]] == [first]
    again = review(as_scientist, run.experiment, f"?{back}")
    assert [str(one) for one in again.context["choice"].conditions] == [ALSO]
    assert 'value="back to “bright” of Grace Plate, ' in text_of(again)


def test_a_blended_score_is_reviewed_once_there_is_one(experiment, run, scientist, as_scientist):
    assert review(as_scientist, experiment, "?score=blended").status_code == 400
    model = ModelVersion.objects.create(
        experiment=experiment, number=1, weights_sha256="0" * 64, recipe={}, report={}, created_by=scientist
    )
    blended = store_scores(
        experiment,
        kind="blended",
        image_ids=run_table(run.pk).image_ids,
        scores=np.linspace(0, 1, 12),
        metric_set=run.metric_set,
        parameters={},
        seed=1,
        by=scientist,
        model_version=model,
    )
    response = review(as_scientist, experiment, "?axis=score:blended")
    assert (response.context["run"], response.context["choice"].value) == (blended, 0.5)
    assert response.context["preview"].flagged == 6
    assert "Blended score, 0 to 1" in text_of(response)
    save(as_scientist, blended, score="blended", value="0.3")
    assert Cutoff.objects.get().run == blended


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("?axis=CellQC_Beauty", "has no metric &#x27;CellQC_Beauty&#x27;."),
        (f"?axis={SATURATED}&unit=mile", "&#x27;mile&#x27; is no unit of a metric; use raw or z."),
        (f"?axis={SATURATED}&low=3&high=1", "but the first is larger."),
        ("?also=5", "is no condition; it reads unit,low,high,metric."),
        ("?contrast=loud", "&#x27;loud&#x27; is no contrast; use common or own."),
    ],
)
def test_a_rule_that_makes_no_sense_gives_a_sentence(experiment, as_scientist, query, sentence):
    response = review(as_scientist, experiment, query)
    assert response.status_code == 400
    assert sentence in text_of(response)


def test_the_browser_gets_a_metric_in_the_order_of_the_scores(run, as_scientist):
    response = as_scientist.get(f"/scores/{run.pk}/metric.bin?column={SATURATED}&unit=z")
    assert np.frombuffer(response.content, "<f4").tolist() == metric_values(run.pk, SATURATED, "z").tolist()
    assert "immutable" in response["Cache-Control"]
    assert as_scientist.get(f"/scores/{run.pk}/metric.bin?column=x").status_code == 400


def test_channel_and_contrast_are_remembered(experiment, scientist, as_scientist):
    review(as_scientist, experiment, "?view=1&contrast=own")
    shown = review(as_scientist, experiment)
    assert (shown.context["view"], shown.context["contrast"]) == ("1", "own")
    image = experiment.images.first()
    assert f"/images/{image.pk}/thumbnail/v1/own/1.jpg" in text_of(shown)


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
