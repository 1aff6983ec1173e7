"""A plate's statistics from sorted metrics are those of the metrics themselves."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from labeling.services.standing import _plate_statistics
from tests.factories import make_scored_experiment


@pytest.fixture
def plate(scientist):
    """Metrics (12, P) of a plate with ties, undefined values and a metric that is undefined everywhere."""
    experiment = make_scored_experiment(scientist)
    metric_set, random = experiment.metric_sets.get(), np.random.default_rng(1)
    rows = list(metric_set.measurements.order_by("image"))
    values = random.normal(size=(len(rows), len(metric_set.columns))).astype(np.float32).round(1)
    values[random.random(values.shape) < 0.2] = np.nan
    values[:, 4] = np.nan
    for row, own in zip(rows, values, strict=True):
        row.values = own.tolist()
        row.save()
    return metric_set, experiment.plates.get(), values


def test_median_and_spread_are_of_the_defined_values(plate):
    metric_set, where, values = plate
    found = _plate_statistics(metric_set.pk, where.pk, len(values), 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of the metric without a value
        median = np.nanmedian(values, axis=0)
        spread = 1.4826 * np.nanmedian(np.abs(values - median), axis=0)
    np.testing.assert_allclose(found.median, median)
    np.testing.assert_allclose(found.spread, spread, rtol=1e-6)


def test_shares_count_the_plate_below_and_above(plate):
    metric_set, where, values = plate
    own = values[3].astype(float)
    below, above = _plate_statistics(metric_set.pk, where.pk, len(values), 1).shares(own)
    defined = ~np.isnan(own)
    np.testing.assert_allclose(below[defined], 100 * (values < own).mean(axis=0)[defined])
    np.testing.assert_allclose(above[defined], 100 * (values > own).mean(axis=0)[defined])
