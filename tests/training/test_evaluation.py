"""The report: numbers with intervals, on labels that were held out by well, and silence where they say nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.training.tables import outlying_table
from training.learners import evaluation
from training.learners.evaluation import evaluate, recall_when_losing
from training.learners.folds import grouped_folds
from training.learners.verdicts import verdicts_of

TABLE = outlying_table(4, n_bad=60)
PLATES = np.repeat([1, 2], 150)
ROWS = np.random.default_rng(1).permutation(300)[:120]


def report_of(verdicts, **changed):
    arguments = {
        "defects": {int(row): ("blur",) for row in ROWS[::2]},
        "treatments": np.where(np.arange(300) % 2, "DMSO", "toxin"),
        "random_share_rows": ROWS[:40],
        "random_state": 0,
        "classifier": "logistic",  # the quickest: what is tried here is the report
    }
    return evaluate(*TABLE.known, PLATES, verdicts, **(arguments | changed))


@pytest.fixture(scope="module")
def report():
    return report_of(TABLE.labelled(ROWS))


def test_it_can_be_stored(report):
    assert json.loads(json.dumps(report)) == report


def test_headline_numbers_lie_in_their_intervals(report):
    for name in ("average_precision", "roc_auc", "brier"):
        assert 0 <= report[name]["low"] <= report[name]["value"] <= report[name]["high"] <= 1
    assert report["average_precision"]["value"] > 0.8
    assert report["roc_auc"]["value"] > 0.9
    assert report["brier"]["value"] < 0.12
    assert report["by_plate"]["n_plates"] == 2
    assert report["by_plate"]["average_precision"]["value"] > 0.7


def test_losing_more_good_images_finds_more_bad_ones(report):
    recalls = [one["value"] for one in report["recall_at_good_lost"]]
    assert [one["good_lost"] for one in report["recall_at_good_lost"]] == [0.01, 0.03, 0.05]
    assert recalls == sorted(recalls)


def test_calibration_counts_every_held_out_label(report):
    assert sum(one["n"] for one in report["calibration"]) == report["n_held_out"] == 120
    assert all(one["low"] <= one["found"] <= one["high"] for one in report["calibration"])


def test_curves_run_from_end_to_end(report):
    assert report["curves"]["roc"][0] == [0, 0]
    assert report["curves"]["roc"][-1] == [1, 1]
    assert report["curves"]["precision_recall"][-1][0] in (0, 1)


def test_the_learning_curve_rises_above_the_forest(report):
    curve = report["learning_curve"]
    assert [step["labels"] for step in curve] == [10, 20, 30, 50]
    assert curve[-1]["ours"] > curve[-1]["forest"] - 0.05
    assert all(step["random"] is None or 0 <= step["random"] <= 1 for step in curve)


def test_kinds_and_treatments_are_told_apart(report):
    assert {one["defect"] for one in report["by_defect"]} == {"blur", "not named"}
    assert sum(one["n"] for one in report["by_defect"]) == report["n_bad"]
    assert {one["treatment"] for one in report["by_treatment"]} == {"DMSO", "toxin"}


def test_the_random_share_stands_alone_when_large_enough(report):
    assert report["random_share"]["n"] == 40
    assert report["random_share"]["low"] <= report["random_share"]["share_bad"] <= report["random_share"]["high"]
    assert report_of(TABLE.labelled(ROWS[:50]), random_share_rows=ROWS[:10])["random_share"] is None


def test_labels_without_sense_have_no_precision():
    """The same labels, dealt out blindly: what is held out cannot be guessed."""
    is_good = np.random.default_rng(3).permutation(~TABLE.is_bad[ROWS])
    report = report_of(verdicts_of(ROWS, is_good))
    assert report["roc_auc"]["low"] < 0.5 < report["roc_auc"]["high"]


def test_too_few_labels_give_a_note_and_no_numbers():
    report = report_of(TABLE.labelled(np.flatnonzero(~TABLE.is_bad)[:8]))
    assert "average_precision" not in report
    assert "Nothing could be held out" in report["notes"][0]
    assert report["learning_curve"] == []


def test_wells_are_never_on_both_sides():
    verdicts = TABLE.labelled(ROWS)
    wells = TABLE.wells[ROWS]
    folds = list(grouped_folds(verdicts.is_good, wells, n_folds=5, random_state=0))
    assert len(folds) == 5
    assert not any(set(wells[train]) & set(wells[held]) for train, held in folds)
    assert sorted(np.concatenate([held for _, held in folds]).tolist()) == list(range(120))


def test_recall_when_losing_counts_by_hand():
    bad = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    is_bad = np.array([True, False, True, True, False, False])
    assert recall_when_losing(is_bad, bad, 0.0) == pytest.approx(1 / 3)
    assert recall_when_losing(is_bad, bad, 0.4) == 1


def test_bootstraps_are_many_enough_for_a_95_percent_interval():
    assert evaluation.N_BOOTSTRAPS >= 200
