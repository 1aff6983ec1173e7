"""Rules of several conditions: they flag the same images in every place, and say which condition did."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.robust import robust_z
from labeling.models import AuditEvent, Cutoff, Measurement, MetricSet, MetricVector, QCSetImage
from labeling.problems import BadValue
from labeling.services.bands import Axis, Position, read_band, rules_for
from labeling.services.cutoffs import (
    CutoffChoice,
    choose_cutoff,
    flagged_rows,
    named_rules,
    preview_cutoff,
    save_cutoff,
)
from labeling.services.image_facts import all_facts, basis_of
from labeling.services.qc_sets import approve_qc_set, draft_qc_set, staleness
from labeling.services.rules import Condition, conditions_of
from labeling.services.run_tables import RAW, Z, metric_choices, metric_values, run_table, title_of
from labeling.services.verification import faults
from labeling.views.labels import tile_of
from tests.conftest import PASSWORD
from tests.factories import add_scores, make_experiment

SATURATED = "CellQC_SaturatedPercent_DNA"
BLURRED = "ImageQuality_Correlation_ER_10"


@pytest.fixture
def experiment(scientist):
    """Two plates of 12 images; on each, saturation is 0, 1, 2 ... % in the order of the images."""
    experiment = make_experiment(scientist, plates=("A", "B"), rows=2, columns=3, sites=2)
    run = add_scores(experiment, by=scientist)
    position = run.metric_set.columns.index(SATURATED)
    for n, measurement in enumerate(Measurement.objects.order_by("image_id")):
        measurement.values[position] = float(n % 12) if n else float("nan")
        measurement.save()
    return experiment


@pytest.fixture
def run(experiment):
    return experiment.score_runs.get()


def stored(run, column) -> dict[int, float]:
    """The metric by image, from the rows."""
    position = run.metric_set.columns.index(column)
    return {one.image_id: one.values[position] for one in Measurement.objects.filter(metric_set=run.metric_set)}


def saturated(high=8.0, low=None, unit=RAW):
    return Condition(SATURATED, unit, low, high)


def test_a_vector_holds_the_metric_of_each_image_in_the_order_of_the_scores(run):
    values = metric_values(run.pk, SATURATED, RAW)
    expected = stored(run, SATURATED)
    scores = list(run.scores.order_by("score", "image_id").values_list("image_id", flat=True))
    assert run_table(run.pk).image_ids.tolist() == scores
    assert np.array_equal(values, np.float32([expected[pk] for pk in scores]), equal_nan=True)


def test_a_vector_is_frozen_at_the_first_look(run):
    before = metric_values(run.pk, SATURATED, RAW).tolist()
    Measurement.objects.update(values=[0.0] * len(run.metric_set.columns))
    metric_values.cache_clear()  # another process
    assert np.array_equal(metric_values(run.pk, SATURATED, RAW), before, equal_nan=True)
    assert MetricVector.objects.count() == 1


def test_robust_z_is_taken_within_each_plate(run):
    raw, z = metric_values(run.pk, BLURRED, RAW), metric_values(run.pk, BLURRED, Z)
    plates = dict(run.experiment.images.values_list("id", "plate_id"))
    groups = np.array([plates[pk] for pk in run_table(run.pk).image_ids.tolist()])
    assert np.allclose(z, robust_z(raw[:, None], groups)[:, 0], atol=1e-6)
    assert not np.allclose(z, robust_z(raw[:, None], np.zeros(len(raw)))[:, 0])


@pytest.mark.parametrize("unit", [RAW, Z])
@pytest.mark.parametrize(("low", "high"), [(None, 0.5), (-0.5, None), (-0.5, 0.5)])
def test_what_lies_outside_the_limits_is_flagged(run, unit, low, high):
    values = metric_values(run.pk, BLURRED, unit).astype(float)
    outside = [(low is not None and v < low) or (high is not None and v > high) for v in values.tolist()]
    assert Condition(BLURRED, unit, low, high).breaks(run.pk).tolist() == outside
    assert 0 < sum(outside) < len(outside)


def test_a_value_on_the_limit_is_kept_and_an_undefined_one_too(run):
    values = stored(run, SATURATED)
    broken = {pk for pk, value in values.items() if value > 8}
    flagged = run_table(run.pk).image_ids[saturated(8.0).breaks(run.pk)]
    assert set(flagged.tolist()) == broken
    assert len(broken) == 6  # 9, 10 and 11 on both plates


def test_a_rule_flags_the_same_images_everywhere_and_says_why(experiment, run, scientist):
    conditions = (saturated(8.0), Condition(BLURRED, Z, -2.0, 2.0))
    choice = choose_cutoff(run, value=-0.6, conditions=conditions)
    cutoff = save_cutoff(run, choice, by=scientist, reason="bright plates")
    values, scores = stored(run, SATURATED), dict(run.scores.values_list("image", "score"))
    z = dict(zip(run_table(run.pk).image_ids.tolist(), metric_values(run.pk, BLURRED, Z).tolist(), strict=True))
    expected = {pk for pk in scores if scores[pk] < -0.6 or values[pk] > 8 or abs(z[pk]) > 2}
    assert len(expected) > sum(score < -0.6 for score in scores.values())

    flags = flagged_rows(run, choice)
    rules = rules_for(run, choice, None)
    bad = read_band(Axis(run), rules["bad"], flags, limit=50)
    draft = draft_qc_set(experiment, by=scientist)
    out = draft.decisions.filter(kept=False)
    assert cutoff.n_flagged == preview_cutoff(run, choice).flagged == bad.total == len(expected)
    assert {tile.image.pk for tile in bad.tiles} == expected
    assert set(out.values_list("image", flat=True)) == expected
    assert {facts.image.pk for facts in all_facts(experiment, basis_of(experiment)) if facts.flagged} == expected
    assert {image.pk for image in experiment.images.all() if tile_of(image).flagged} == expected
    assert set(out.values_list("decided_by", flat=True)) == {QCSetImage.DecidedBy.SCORE}

    reasons = dict(out.values_list("image", "reason"))
    saturated_at_9 = [pk for pk in expected if values[pk] == 9]
    assert all("saturated 9 % > 8 % in DNA" in reasons[pk] for pk in saturated_at_9)
    assert {"saturated" in reason for pk, reason in reasons.items() if not values[pk] > 8} == {False}
    for pk, reason in reasons.items():
        assert ("is below the cutoff -0.6000" in reason) == (scores[pk] < -0.6)
        assert ("correlation at 10" in reason) == (abs(z[pk]) > 2)


def test_a_set_by_a_rule_is_signed_and_verifies(experiment, run, scientist):
    save_cutoff(run, choose_cutoff(run, unused=1, conditions=[saturated()]), by=scientist, reason="saturation only")
    draft = draft_qc_set(experiment, by=scientist)
    assert draft.n_out == 6
    approve_qc_set(draft, by=scientist, password=PASSWORD, meaning="I reviewed this set.")
    assert list(faults()) == []


def test_another_condition_makes_a_draft_stale(experiment, run, scientist):
    save_cutoff(run, choose_cutoff(run, value=-0.5), by=scientist, reason="first")
    draft = draft_qc_set(experiment, by=scientist)
    save_cutoff(run, choose_cutoff(run, value=-0.5, conditions=[saturated()]), by=scientist, reason="bright")
    assert staleness(draft) == "another cutoff was saved after this draft was made"


def test_a_label_beats_a_condition(experiment, run, scientist):
    from labeling.services.labels import NewLabel, label_images

    save_cutoff(run, choose_cutoff(run, unused=1, conditions=[saturated()]), by=scientist, reason="bright")
    flagged = draft_qc_set(experiment, by=scientist).decisions.filter(kept=False).first().image_id
    label_images([NewLabel(flagged, "good")], by=scientist)
    assert draft_qc_set(experiment, by=scientist).decisions.get(image=flagged).kept


def test_without_the_score_nothing_is_flagged_by_it(run):
    choice = choose_cutoff(run, unused=1, conditions=[saturated(11.0)])
    assert choice.how == Cutoff.How.UNUSED
    assert preview_cutoff(run, choice).flagged == 0


def test_what_changes_side_is_shown_both_ways(run):
    saved = choose_cutoff(run, value=-0.6)
    choice = choose_cutoff(run, unused=1, conditions=[saturated()])
    rules = rules_for(run, choice, saved)
    now, was = flagged_rows(run, choice), flagged_rows(run, saved)
    assert set(rules["out"].rows.tolist()) == set(np.flatnonzero(now & ~was).tolist()) != set()
    assert set(rules["back"].rows.tolist()) == set(np.flatnonzero(was & ~now).tolist()) != set()


@pytest.mark.parametrize("limit", [1, 5])
def test_along_a_metric_the_bands_run_from_its_worst_values(run, limit):
    condition = saturated(8.0, 2.0)
    choice, axis = choose_cutoff(run, unused=1, conditions=[condition]), Axis(run, condition)
    rules, flags, seen = rules_for(run, choice, None, axis), flagged_rows(run, choice), []
    for name, rule in rules.items():
        shown, after = [], None
        while True:
            band = read_band(axis, rule, flags, limit=limit, after=after)
            shown += band.tiles
            if band.next is None:
                break
            after = Position.parse(str(band.next))
        assert len(shown) == band.total, name
        seen += [tile.image.pk for tile in shown]
        if name == "bad":
            margins = [min(tile.metric - 2, 8 - tile.metric) for tile in shown]
            assert margins == sorted(margins)
            assert max(margins) < 0
    assert sorted(seen) == sorted(run.scores.values_list("image", flat=True))


def test_a_rule_is_kept_with_its_name_and_found_again_after_a_new_scoring(experiment, run, scientist):
    choice = choose_cutoff(run, value=-0.6, conditions=[saturated()])
    save_cutoff(run, choice, by=scientist, reason="first", name="bright")
    second = save_cutoff(run, choice, by=scientist, reason="again", name="bright")
    save_cutoff(run, choose_cutoff(run, value=-0.5), by=scientist, reason="plain")
    again = add_scores(experiment, by=scientist, seed=3)
    assert named_rules(experiment) == [second]
    assert preview_cutoff(again, CutoffChoice.of(second)).flagged > 0
    assert Cutoff.objects.current(again) is None


def test_the_audit_tells_the_conditions(run, scientist):
    save_cutoff(run, choose_cutoff(run, value=-0.6, conditions=[saturated()]), by=scientist, reason="r", name="bright")
    new = AuditEvent.objects.get(action="cutoff.saved").new
    assert new["conditions"] == [{"column": SATURATED, "unit": "raw", "low": None, "high": 8}]
    assert new["name"] == "bright"


def test_a_condition_survives_its_own_text_and_its_json():
    one = Condition("CellQC_SaturatedPercent_DNA, old", Z, -0.1, None)
    assert Condition.parse(str(one)) == one
    assert conditions_of([one.as_json()]) == (one,)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("raw,1", "is no condition; it reads unit,low,high,metric"),
        (f"raw,,,{SATURATED}", "A condition needs a limit"),
        (f"raw,3,1,{SATURATED}", "between 3 and 1 are to be kept, but the first is larger"),
        (f"raw,nan,,{SATURATED}", "The limit 'nan' is not a number"),
        (f"furlong,1,,{SATURATED}", "'furlong' is no unit of a metric"),
        ("raw,1,,CellQC_Beauty_DNA", "has no metric 'CellQC_Beauty_DNA'"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(run, text, sentence):
    with pytest.raises(BadValue, match=sentence):
        choose_cutoff(run, value=-0.5, conditions=[Condition.parse(text)])


def test_two_conditions_on_one_metric_are_refused(run):
    with pytest.raises(BadValue, match="two conditions on"):
        choose_cutoff(run, value=-0.5, conditions=[saturated(1.0), saturated(2.0)])


def test_a_rule_that_flags_nothing_is_not_saved(run, scientist):
    with pytest.raises(BadValue, match="Neither the score nor a metric flags anything"):
        save_cutoff(run, choose_cutoff(run, unused=1), by=scientist, reason="none")


def test_a_metric_that_says_nothing_of_the_image_is_not_offered(experiment, run):
    offered = [column for columns in metric_choices(experiment, run).values() for column, _ in columns]
    assert SATURATED in offered
    assert "ImageQuality_Scaling_DNA" in MetricSet.objects.get().columns
    assert "ImageQuality_Scaling_DNA" not in offered


@pytest.mark.parametrize(
    ("column", "title"),
    [
        (SATURATED, "saturated"),
        (BLURRED, "correlation at 10"),
        ("ImageQuality_MADIntensity_DNA", "MAD intensity"),
        ("CellQC_PixelCorrelation_DNA_ER", "pixel correlation"),
    ],
)
def test_metrics_have_names_people_can_read(column, title):
    assert title_of(column, ["DNA", "ER"]) == title
