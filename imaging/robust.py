"""Robust statistics that scoring, cutoffs and pages share."""

from __future__ import annotations

import numpy as np

SIGMA_PER_MAD = 1.4826  # of a normal distribution
SIGMA_PER_MEAN_DEVIATION = 1.2533


def robust_z(values: np.ndarray, groups: np.ndarray, reference: np.ndarray | None = None) -> np.ndarray:
    """How many robust standard deviations each value lies from the median of its group.

    Parameters
    ----------
    values : (N, P) metrics; NaN where undefined.
    groups : (N,) the plate of each row, or one constant for the whole experiment.
    reference : (N,) True for the rows that tell what is usual, such as control wells; all when None.
        Every group needs some.

    Returns
    -------
    (N, P) float64; NaN stays NaN. (x - median) / (1.4826 MAD). Where more than half of a group share one
    value the MAD is 0 and the mean absolute deviation takes its place (Iglewicz & Hoaglin 1993, "How to
    detect and handle outliers"); a column constant in its group gives 0.
    """
    z = np.empty(values.shape, np.float64)
    for group in np.unique(groups):
        rows = groups == group
        usual = np.ones(rows.sum(), bool) if reference is None else reference[rows]
        block = values[rows].astype(np.float64)
        known = ~np.isnan(block[usual]).all(axis=0)
        deviation = np.full_like(block, np.nan)
        deviation[:, known] = block[:, known] - np.nanmedian(block[usual][:, known], axis=0)
        spread = np.ones(block.shape[1])
        spread[known] = _spread(deviation[usual][:, known])
        z[rows] = deviation / spread
    return z


def _spread(deviation: np.ndarray) -> np.ndarray:
    """Robust standard deviation of each column, 1 where a column does not vary."""
    mad = SIGMA_PER_MAD * np.nanmedian(np.abs(deviation), axis=0)
    mean_deviation = SIGMA_PER_MEAN_DEVIATION * np.nanmean(np.abs(deviation), axis=0)
    spread = np.where(mad > 0, mad, mean_deviation)
    return np.where(spread > 0, spread, 1.0)
