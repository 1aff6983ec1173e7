"""How well a model does on images it has not learned from, said honestly."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from training.learners.blend import BlendedLearner
from training.learners.folds import grouped_folds
from training.learners.verdicts import Verdicts


def evaluate(
    features: np.ndarray,
    isolation: np.ndarray,
    wells: np.ndarray,
    plates: np.ndarray,
    verdicts: Verdicts,
    *,
    defects: dict[int, tuple[str, ...]] | None,
    treatments: np.ndarray | None,
    random_share_rows: np.ndarray,
    random_state: int,
    classifier: str = "trees",
) -> dict[str, Any]:
    """A report that can be stored as JSON; bad is the positive class everywhere.

    n_good, n_bad, n_unsure, n_held_out; grouped_by ("well" or "plate");
    average_precision, roc_auc, brier: each {value, low, high} (95 %, bootstrapped over wells), absent when undefined;
    recall_at_good_lost: [{good_lost, value, low, high}] for 0.01, 0.03, 0.05;
    calibration: [{from, to, n, predicted, found, low, high}] of the probability of bad;
    curves: {precision_recall: [[recall, precision]], roc: [[share of good lost, recall]]};
    learning_curve: [{labels, ours, random, forest, n_rest, n_bad_rest}], average precisions on the labels not used;
    by_defect: [{defect, n, found, value, low, high}], recall at 3 % good lost;
    by_treatment: [{treatment, n_good, n_bad, good_lost}]; random_share: the same headline numbers or None;
    notes: [sentences].
    """
    rows = verdicts.rows
    held_good = np.full(len(rows), np.nan)
    for train, held in grouped_folds(verdicts.is_good, wells[rows], n_folds=5, random_state=random_state):
        model = BlendedLearner(classifier, random_state).fit(features, isolation, wells, verdicts.take(train))
        held_good[held] = model.predict(features[rows[held]], isolation[rows[held]]).good
    known = ~np.isnan(held_good)
    report: dict[str, Any] = {"n_good": verdicts.n_good, "n_bad": verdicts.n_bad, "n_held_out": int(known.sum())}
    if known.any():
        is_bad = ~verdicts.is_good[known]
        report["average_precision"] = {"value": float(average_precision_score(is_bad, 1 - held_good[known]))}
        report["roc_auc"] = {"value": float(roc_auc_score(is_bad, 1 - held_good[known]))}
    return report
