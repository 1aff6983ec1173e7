"""The unsupervised score: low for what a plate has one of, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from training.learners.isolation import IsolationScorer

PLATES = np.repeat([1, 2], 100)


@pytest.fixture
def values():
    return np.random.default_rng(5).normal(size=(200, 8))


def score(values, plates=PLATES, seed=1):
    scorer = IsolationScorer(n_estimators=60, random_state=seed).fit(values, plates)
    return scorer.score_samples(values, plates)


def test_the_same_seed_gives_the_same_bytes(values):
    assert score(values).tobytes() == score(values).tobytes()


def test_another_seed_gives_other_scores(values):
    assert score(values).tobytes() != score(values, seed=2).tobytes()


def test_scores_lie_between_minus_one_and_zero(values):
    scores = score(values)
    assert scores.shape == (200,)
    assert ((scores > -1) & (scores < 0)).all()


@pytest.mark.parametrize("direction", [1, -1])
def test_an_outlier_gets_the_lowest_score(values, direction):
    values[123] += direction * 15
    assert score(values).argmin() == 123


def test_the_farther_the_lower(values):
    values[10], values[20] = 6.0, 2.5
    scores = score(values)
    assert scores[10] < scores[20] < np.median(scores)


def test_a_plate_that_is_brighter_as_a_whole_is_not_flagged(values):
    brighter = values + (PLATES == 2)[:, None] * 1000
    assert score(brighter) == pytest.approx(score(values), abs=1e-9)


def test_a_column_of_nothing_is_dropped(values):
    holey = np.column_stack([values[:, :4], np.full(200, np.nan), values[:, 4:], np.full(200, 4095.0)])
    scorer = IsolationScorer(n_estimators=60, random_state=1).fit(holey, PLATES)
    assert scorer.columns_.tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    assert scorer.score_samples(holey, PLATES).tobytes() == score(values).tobytes()


def test_undefined_values_are_scored_too(values):
    values[7, :] = np.nan
    scores = score(values)
    assert np.isfinite(scores).all()
    assert scores[7] > np.median(scores)  # as typical as can be


def test_metrics_in_four_bytes_do_as_well(values):
    wide = score(values)
    assert score(values.astype(np.float32)) == pytest.approx(wide, abs=0.02)


def test_fewer_images_than_a_tree_samples_are_fine(values):
    few = values[:6]
    assert score(few, PLATES[:6]).shape == (6,)


def test_no_metric_that_varies_is_told(values):
    with pytest.raises(ValueError, match="No metric varies between these images"):
        IsolationScorer().fit(np.ones((10, 3)), np.zeros(10))


def test_before_fitting_there_is_no_score(values):
    with pytest.raises(NotFittedError):
        IsolationScorer().score_samples(values, PLATES)


def test_it_keeps_the_contract_of_scikit_learn():
    scorer = IsolationScorer(n_estimators=7, max_samples=9, random_state=4)
    assert clone(scorer).get_params() == {"n_estimators": 7, "max_samples": 9, "random_state": 4}
    assert not [name for name in vars(scorer) if name.endswith("_")]
