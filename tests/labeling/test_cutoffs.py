"""Trying and saving a cutoff: flagged is what lies below it, the same everywhere."""

from __future__ import annotations

import numpy as np
import pytest

from labeling.models import AuditEvent, Cutoff, ScoreRun
from labeling.problems import BadValue, Conflict
from labeling.services.bands import Axis, read_band, rules_for
from labeling.services.cutoffs import choose_cutoff, current_run, flagged_rows, preview_cutoff, save_cutoff
from labeling.services.image_facts import all_facts, basis_of
from labeling.services.qc_sets import draft_qc_set
from labeling.services.scores import scores_of
from labeling.views.labels import tile_of
from tests.factories import add_scores, make_experiment, save_cutoff_at


@pytest.fixture
def run(experiment):
    return ScoreRun.objects.get()


# --- choosing ---------------------------------------------------------------------------------------


def test_a_value_is_by_hand(run):
    choice = choose_cutoff(run, value="-0.55")
    assert (choice.value, choice.how, choice.percent) == (-0.55, "by hand", None)


def test_automatic_is_a_half_below_zero(run):
    choice = choose_cutoff(run, automatic="1")
    assert (choice.value, choice.how) == (-0.5, "automatic")


def test_a_percentage_flags_that_share(run):
    choice = choose_cutoff(run, percent="25")
    assert (choice.how, choice.percent) == ("percent", 25)
    assert preview_cutoff(run, choice).flagged == 3


@pytest.mark.parametrize(("percent", "flagged"), [(0, 0), (100, 12), ("0", 0), ("100.0", 12)])
def test_nothing_and_everything_can_be_flagged(run, percent, flagged):
    assert preview_cutoff(run, choose_cutoff(run, percent=percent)).flagged == flagged


def test_a_true_minus_sign_is_a_minus_sign(run):
    assert choose_cutoff(run, value=" −0.51 ").value == -0.51


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "Give exactly one of value, percent or automatic."),
        ({"value": ""}, "Give exactly one of"),
        ({"automatic": "0"}, "Give exactly one of"),
        ({"value": -0.5, "percent": 3}, "Give exactly one of"),
        ({"value": -0.5, "automatic": 1}, "Give exactly one of"),
        ({"value": "low"}, "The cutoff 'low' is not a number."),
        ({"value": "nan"}, "The cutoff 'nan' is not a number."),
        ({"value": "-inf"}, "The cutoff '-inf' is not a number."),
        ({"percent": "many"}, "The percentage 'many' is not a number."),
        ({"percent": -1}, "The percentage to flag is -1; it must lie between 0 and 100."),
        ({"percent": 100.5}, "The percentage to flag is 100.5; it must"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(run, given, sentence):
    with pytest.raises(BadValue) as problem:
        choose_cutoff(run, **given)
    assert str(problem.value).startswith(sentence)


def test_there_is_no_current_run_before_the_first_scoring(scientist):
    with pytest.raises(Conflict, match="has no isolation score yet; score it first"):
        current_run(make_experiment(scientist))


def test_an_unknown_score_is_refused(experiment):
    with pytest.raises(BadValue, match="'beauty' is no score; use isolation, blended or promoted"):
        current_run(experiment, "beauty")


# --- preview ----------------------------------------------------------------------------------------


def test_preview_counts_overall_and_per_plate(scientist):
    experiment = make_experiment(scientist, plates=("A", "B"), rows=1, columns=2, sites=2)
    run = add_scores(experiment, by=scientist, scores=[-0.6, -0.6, -0.6, -0.4, -0.6, -0.4, -0.4, -0.4])
    preview = preview_cutoff(run, choose_cutoff(run, value=-0.5))
    assert (preview.flagged, preview.kept, preview.total, preview.share) == (4, 4, 8, 0.5)
    plates = [(plate.barcode, plate.flagged, plate.total, plate.share) for plate in preview.per_plate]
    assert plates == [("A", 3, 4, 0.75), ("B", 1, 4, 0.25)]


def test_preview_asks_the_database_nothing_once_the_run_is_known(run, django_assert_num_queries):
    scores_of(run.pk)
    with django_assert_num_queries(0):
        preview_cutoff(run, choose_cutoff(run, value=-0.5))


# --- saving -----------------------------------------------------------------------------------------


def test_a_saved_cutoff_is_in_force_with_its_reason(run, scientist):
    cutoff = save_cutoff(run, choose_cutoff(run, percent=25), by=scientist, reason="  dust below  ")
    assert Cutoff.objects.current(run) == cutoff
    assert (cutoff.reason, cutoff.by, cutoff.n_flagged, cutoff.percent) == ("dust below", scientist, 3, 25)


def test_the_cutoff_saved_last_is_in_force_and_earlier_ones_stay(experiment, run, scientist):
    save_cutoff_at(experiment, -0.5, by=scientist)
    save_cutoff_at(experiment, -0.6, by=scientist)
    assert Cutoff.objects.current(run).value == -0.6
    assert Cutoff.objects.count() == 2


def test_saving_is_in_the_audit_with_the_value_before(experiment, run, scientist):
    save_cutoff_at(experiment, -0.5, by=scientist, reason="first look")
    save_cutoff(run, choose_cutoff(run, percent=25), by=scientist, reason="too many")
    first, second = AuditEvent.objects.filter(action="cutoff.saved").order_by("sequence")
    assert (first.old, first.reason) == (None, "first look")
    assert (
        second.old == first.new == {"value": -0.5, "how": "by hand", "percent": None, "flagged": first.new["flagged"]}
    )
    assert (second.new["percent"], second.new["flagged"], second.reason) == (25, 3, "too many")


@pytest.mark.parametrize("reason", ["", "   "])
def test_a_cutoff_needs_a_reason(run, scientist, reason):
    with pytest.raises(BadValue, match="Say in a few words why the cutoff is here"):
        save_cutoff(run, choose_cutoff(run, value=-0.5), by=scientist, reason=reason)
    assert not Cutoff.objects.exists()


def test_a_cutoff_on_older_scores_is_refused(experiment, run, scientist):
    add_scores(experiment, by=scientist, seed=2)
    with pytest.raises(Conflict, match="scored again meanwhile"):
        save_cutoff(run, choose_cutoff(run, value=-0.5), by=scientist, reason="looked")
    assert not Cutoff.objects.exists()


def test_a_new_run_starts_without_a_cutoff(experiment, scientist):
    save_cutoff_at(experiment, -0.5, by=scientist)
    add_scores(experiment, by=scientist, seed=2)
    assert basis_of(experiment).cutoff is None


# --- an image exactly at the cutoff ----------------------------------------------------------------

TIED = [-0.7, -0.7, -0.55, -0.1, -0.1, -0.1, -0.123456789, -0.3, -0.3, -0.2, -1 / 3, -0.6]


def ids_of(bands: dict, *names: str) -> set[int]:
    return {tile.image.pk for name in names if name in bands for tile in bands[name].tiles}


@pytest.mark.parametrize("n", range(13))
def test_flagged_is_the_same_everywhere_however_near_the_cutoff(scientist, n):
    """The cutoff is each score to the bit in turn (and its shortest digits): kept, with all its ties."""
    experiment = make_experiment(scientist)
    run = add_scores(experiment, by=scientist, scores=TIED)
    exact = [*scores_of(run.pk).ascending.tolist(), float(str(np.float32(-0.1)))]
    cutoff = exact[n]
    expected = {score.image_id for score in run.scores.all() if float(np.float32(score.score)) < cutoff}

    saved = save_cutoff_at(experiment, cutoff, by=scientist)
    choice = choose_cutoff(run, value=repr(cutoff))
    flags = flagged_rows(run, choice)
    bands = {name: read_band(Axis(run), rule, flags, limit=50) for name, rule in rules_for(run, choice, None).items()}
    decisions = draft_qc_set(experiment, by=scientist).decisions
    preview = preview_cutoff(run, choice)

    assert saved.n_flagged == preview.flagged == bands["bad"].total == len(expected)
    assert ids_of(bands, "bad") == expected
    assert not ids_of(bands, "good", "best") & expected
    assert set(run.scores.filter(score__lt=cutoff).values_list("image", flat=True)) == expected
    assert set(decisions.filter(kept=False).values_list("image", flat=True)) == expected
    assert {facts.image.pk for facts in all_facts(experiment, basis_of(experiment)) if facts.flagged} == expected
    assert {image.pk for image in experiment.images.all() if tile_of(image).flagged} == expected
    for band in bands.values():
        assert all(tile.flagged == (tile.image.pk in expected) for tile in band.tiles)
