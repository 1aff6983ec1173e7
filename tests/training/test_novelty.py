"""A plate like those seen is near, a plate unlike them far, and the number grows with the distance."""

from __future__ import annotations

import numpy as np
import pytest

from training.learners.novelty import Familiarity


def plate(shift, n=200, seed=0):
    return np.random.default_rng(seed).normal(shift, 1, (n, 10)).astype(np.float32)


@pytest.fixture(scope="module")
def familiar():
    return Familiarity().fit(np.concatenate([plate(0, seed=1), plate(0, seed=2)]), np.repeat([1, 2], 200))


def test_near_and_far(familiar):
    new = np.concatenate([plate(0, seed=3), plate(3, seed=4)])
    near, far = familiar.measure(new, np.repeat([10, 11], 200))
    assert (near.plate, near.is_far) == (10, False)
    assert (far.plate, far.is_far) == (11, True)
    assert near.distance < 0.15 < 0.9 < far.distance <= 1
    assert "forest decides" in far.sentence


def test_the_farther_the_larger(familiar):
    shifts = np.array([0, 0.5, 1.0, 2.0])
    new = np.concatenate([plate(shift, seed=5) for shift in shifts])
    distances = [one.distance for one in familiar.measure(new, np.repeat(range(4), 200))]
    assert distances == sorted(distances)


def test_a_few_odd_images_do_not_make_a_plate_far(familiar):
    new = plate(0, seed=6)
    new[:20] += 10
    assert not familiar.measure(new, np.zeros(200, int))[0].is_far


def test_one_plate_is_enough_to_know_what_is_usual():
    one = Familiarity().fit(plate(0, seed=1), np.zeros(200, int))
    assert not one.measure(plate(0, seed=7), np.zeros(200, int))[0].is_far


def test_it_is_kept_as_numbers(familiar):
    back = Familiarity.from_arrays(familiar.to_arrays())
    new = plate(1, seed=8)
    assert back.measure(new, np.zeros(200, int)) == familiar.measure(new, np.zeros(200, int))


def test_other_columns_are_refused(familiar):
    with pytest.raises(ValueError, match="knows 10 columns; these are 9"):
        familiar.measure(plate(0)[:, :9], np.zeros(200, int))
