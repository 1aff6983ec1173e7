"""Few numbers from many, without what sets plates apart."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from training.learners.reduce import EmbeddingReducer

N, D = 120, 24


@pytest.fixture
def vectors():
    """Two plates whose images vary in five ways, among them one odd image."""
    random = np.random.default_rng(5)
    vectors = random.normal(size=(2 * N, 5)) @ random.normal(size=(5, D)) + 0.05 * random.normal(size=(2 * N, D))
    vectors[17] += 30
    return vectors.astype(np.float32)


@pytest.fixture
def plates():
    return np.repeat([3, 8], N)


def told_apart(features: np.ndarray, plates: np.ndarray) -> float:
    """The share of images whose plate a classifier names rightly, cross-validated; 0.5 is chance."""
    return float(cross_val_score(LogisticRegression(max_iter=2000), features, plates, cv=4).mean())


def test_the_plate_cannot_be_told_from_the_components(vectors, plates):
    """Light, gain and stain of a plate shift and stretch every number of its vectors."""
    random = np.random.default_rng(6)
    vectors[plates == 8] = vectors[plates == 8] * random.uniform(0.5, 2, D) + random.normal(size=D) * 3
    reduced = EmbeddingReducer(8, random_state=1).fit_transform(vectors, plates)
    assert told_apart(vectors, plates) > 0.95
    assert told_apart(reduced, plates) < 0.6


def test_a_plates_gain_and_offset_change_nothing(vectors, plates):
    other = vectors.copy()
    other[plates == 8] = other[plates == 8] * 4 + 100
    reduce = EmbeddingReducer(8, random_state=1).fit_transform
    assert reduce(other, plates) == pytest.approx(reduce(vectors, plates), abs=1e-3)


def test_the_odd_one_stays_the_farthest(vectors, plates):
    reduced = EmbeddingReducer(8, random_state=1).fit_transform(vectors, plates)
    assert np.linalg.norm(reduced, axis=1).argmax() == 17


def test_five_components_tell_nearly_all_of_five_ways_to_vary(vectors, plates):
    reducer = EmbeddingReducer(5, random_state=1)
    spreads = reducer.fit_transform(vectors, plates).std(axis=0)
    assert (np.diff(spreads) <= 0).all()
    assert reducer.explained_share_ > 0.75


def test_the_same_seed_gives_the_same_bytes_and_each_component_points_one_way(vectors, plates):
    first, second = (EmbeddingReducer(6, most_rows=100, random_state=4).fit(vectors, plates) for _ in range(2))
    assert first.transform(vectors, plates).tobytes() == second.transform(vectors, plates).tobytes()
    largest = np.abs(first.components_).argmax(axis=1)
    assert (first.components_[np.arange(6), largest] > 0).all()


def test_a_sample_of_the_rows_finds_nearly_the_same_components(vectors, plates):
    whole = EmbeddingReducer(3, random_state=4).fit(vectors, plates).components_
    sample = EmbeddingReducer(3, most_rows=120, random_state=4).fit(vectors, plates).components_
    assert np.linalg.svd(whole @ sample.T)[1].min() > 0.9


def test_controls_alone_can_say_what_is_usual(vectors, plates):
    is_control = np.arange(2 * N) % 4 == 0
    vectors[~is_control] += 10  # all samples differ from the controls
    reduced = EmbeddingReducer(2, random_state=1).fit_transform(vectors, plates, is_control)
    assert abs(np.median(reduced[~is_control, 0]) - np.median(reduced[is_control, 0])) > 1


def test_fewer_images_than_components_are_no_error():
    vectors = np.random.default_rng(2).normal(size=(5, D))
    assert EmbeddingReducer(random_state=1).fit_transform(vectors, np.zeros(5, int)).shape == (5, 4)
