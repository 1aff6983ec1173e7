"""Metrics of different plates and units on one scale."""

from __future__ import annotations

import numpy as np
import pytest

from training.learners.scaling import CLIP, robust_features, robust_z, signed_log, varying_columns

ONE_PLATE = np.zeros(40, int)


@pytest.fixture
def values():
    return np.random.default_rng(3).normal(size=(40, 3))


@pytest.fixture
def plates():
    return np.repeat([7, 9], 20)


@pytest.mark.parametrize("shift", [0, 100, -1e5])
@pytest.mark.parametrize("scale", [1, 0.001, 4096])
def test_the_unit_and_offset_of_a_plate_change_nothing(values, plates, shift, scale):
    dimmer = values.copy()
    dimmer[plates == 9] = dimmer[plates == 9] * scale + shift
    assert robust_features(dimmer, plates) == pytest.approx(robust_features(values, plates), abs=1e-6)


def test_a_shift_of_one_plate_matters_when_plates_are_not_told_apart(values, plates):
    brighter = values + (plates == 9)[:, None] * 50
    assert not np.allclose(robust_z(brighter, ONE_PLATE), robust_z(values, ONE_PLATE))


def test_larger_values_have_larger_z(values):
    z = robust_z(values, ONE_PLATE)
    for column in range(3):
        assert (np.argsort(z[:, column]) == np.argsort(values[:, column])).all()


def test_the_median_is_zero_and_the_spread_is_one(values):
    z = robust_z(values, ONE_PLATE)
    assert np.median(z, axis=0) == pytest.approx(0, abs=1e-12)
    assert 1.4826 * np.median(np.abs(z), axis=0) == pytest.approx(1)


def test_one_far_outlier_leaves_the_others_where_they_were(values):
    before = robust_z(values, ONE_PLATE)
    values[5, 0] = 1e9
    after = robust_z(values, ONE_PLATE)
    assert after[5, 0] > 1e6
    assert np.delete(after[:, 0], 5) == pytest.approx(np.delete(before[:, 0], 5), abs=0.4)


def test_a_constant_column_is_zero(values):
    values[:, 1] = 4095
    assert (robust_z(values, ONE_PLATE)[:, 1] == 0).all()


def test_a_column_constant_on_one_plate_is_zero_there_only(values, plates):
    values[plates == 7, 1] = 4095
    z = robust_z(values, plates)[:, 1]
    assert (z[plates == 7] == 0).all()
    assert (z[plates == 9] != 0).any()


def test_where_most_share_one_value_the_mean_deviation_takes_over():
    column = np.zeros((10, 1))
    column[0] = 5.0  # MAD is 0; the mean absolute deviation is 0.5
    z = robust_z(column, np.zeros(10))
    assert z[0, 0] == pytest.approx(5 / (1.2533 * 0.5))
    assert (z[1:] == 0).all()


def test_undefined_stays_undefined_and_does_not_touch_the_rest(values):
    whole = robust_z(np.delete(values, 4, axis=0), ONE_PLATE[:-1])
    values[4, 2] = np.nan
    z = robust_z(values, ONE_PLATE)
    assert np.isnan(z[4, 2])
    assert np.isnan(z).sum() == 1
    assert np.delete(z[:, 2], 4) == pytest.approx(whole[:, 2])


@pytest.mark.filterwarnings("error")
def test_a_column_undefined_on_a_whole_plate_stays_so_quietly(values, plates):
    values[plates == 7, 0] = np.nan
    z = robust_z(values, plates)
    assert np.isnan(z[plates == 7, 0]).all()
    assert not np.isnan(z[plates == 9]).any()


def test_undefined_becomes_typical_in_features(values, plates):
    values[plates == 7, 0] = np.nan
    values[25, 1] = np.nan
    features = robust_features(values, plates)
    assert np.isfinite(features).all()
    assert (features[plates == 7, 0] == 0).all()
    assert features[25, 1] == 0


def test_signed_log_keeps_sign_and_order_and_ends_at_the_clip():
    z = np.array([-1e12, -3.0, -0.1, 0.0, 0.1, 3.0, 1e12])
    logs = signed_log(z)
    assert (np.diff(logs) > 0).all()
    assert logs == pytest.approx(-logs[::-1])
    assert (logs[0], logs[-1]) == (-CLIP, CLIP)
    assert logs[5] == pytest.approx(np.log(4))


def test_columns_that_vary_are_told_from_those_that_do_not():
    values = np.array([[1, 5, np.nan, np.nan, 1], [2, 5, np.nan, 3, np.nan], [1, 5, np.nan, np.nan, 2]], float)
    assert varying_columns(values).tolist() == [True, False, False, False, True]


def test_no_row_varies_in_nothing():
    assert varying_columns(np.full((1, 2), 3.0)).tolist() == [False, False]


def test_the_values_given_are_left_alone(values, plates):
    before = values.copy()
    robust_features(values, plates)
    assert (values == before).all()
