"""Labels that everything else contradicts are found; honest doubt is not."""

from __future__ import annotations

import numpy as np

from tests.training.tables import outlying_table
from training.learners.label_errors import suspicious_labels
from training.learners.verdicts import verdicts_of

TABLE = outlying_table(2, n_bad=60)
ROWS = np.random.default_rng(0).permutation(300)[:150]


def test_swapped_labels_are_found():
    is_good = ~TABLE.is_bad[ROWS]
    clear = np.abs(TABLE.features[ROWS, :4].mean(axis=1))
    swapped = np.concatenate(
        [
            np.flatnonzero(is_good)[clear[is_good].argsort()[:2]],
            np.flatnonzero(~is_good)[clear[~is_good].argsort()[-2:]],
        ]
    )
    is_good[swapped] = ~is_good[swapped]
    found = suspicious_labels(*TABLE.known, verdicts_of(ROWS, is_good), random_state=0, classifier="trees")
    assert len(set(swapped.tolist()) & {index for index, _ in found[:6]}) >= 3
    probabilities = [wrong for _, wrong in found]
    assert probabilities == sorted(probabilities, reverse=True)
    assert all(0.85 <= wrong <= 1 for wrong in probabilities)


def test_true_labels_are_mostly_left_alone():
    assert len(suspicious_labels(*TABLE.known, TABLE.labelled(ROWS), random_state=0, classifier="trees")) <= 5


def test_few_labels_contradict_nobody():
    few = np.concatenate([np.flatnonzero(TABLE.is_bad)[:4], np.flatnonzero(~TABLE.is_bad)[:20]])
    assert suspicious_labels(*TABLE.known, TABLE.labelled(few), random_state=0, classifier="trees") == []
