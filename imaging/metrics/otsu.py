"""The threshold between background and objects."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numba import njit

from imaging.metrics.facts import PlaneFacts
from imaging.metrics.registry import Metric, family

N_CANDIDATES = 256


@family(
    Metric(
        name="ThresholdOtsu",
        scale="2W",
        unit="share of the file's maximum",
        higher_means="brighter objects or background",
        lower_means="darker objects or background",
        range=(0, 1),
        description="The intensity that best parts background from objects.",
    )
)
def threshold_otsu(plane: PlaneFacts) -> Sequence[float]:
    """Otsu's two-class threshold on log intensity (0 to 1; higher is brighter).

    Everything below min + (max - min) / 256 is raised to that; thresholds are tried at 256 positions of equal
    count, and the mean of the two beside the best is taken. A little above the value for a constant plane.
    A linear Otsu can differ 36-fold. Source: CellProfiler's ThresholdOtsu, two classes, weighted variance.
    """
    logs = log_levels(plane.scaled_levels)
    # The range is rounded to float32, everything after is float64: CellProfiler's rounding.
    darkest, log_range = float(logs[0]), float(logs[-1] - logs[0])
    if log_range == 0:
        return (math.exp(darkest),)
    best = best_split((logs - np.float64(darkest)) / log_range, plane.counts)
    return (math.exp(best * log_range + darkest),)


def log_levels(levels: np.ndarray) -> np.ndarray:
    """Natural logarithm of ascending float32 levels, after raising the lowest to a floor of noise."""
    darkest, brightest = levels[0], levels[-1]
    floor = float(darkest) + float(brightest - darkest) / 256 + float(np.finfo(np.float32).eps)
    return np.log(np.maximum(levels, np.float32(floor)))


@njit(cache=True)
def best_split(values: np.ndarray, counts: np.ndarray) -> float:
    """The split of ascending `values`, occurring `counts` times, with the least variance within both sides.

    Candidates are every (N // 256)-th of the N sorted pixels, at least 2. The upper side has the sample
    variance times its count, the lower one the sum of squares: CellProfiler's asymmetry.
    """
    n = counts.sum()
    step = max(n // N_CANDIDATES, 1)
    n_candidates = (n - 1 + step - 1) // step
    scores = np.zeros(n_candidates)
    thresholds = np.empty(n_candidates)
    # Upwards: the lower side of candidate c is the first c step + 1 pixels.
    level, below, mean, spread = 0, 0, 0.0, 0.0
    for c in range(n_candidates):
        size = c * step + 1
        while below + counts[level] <= size:
            mean, spread = _add(below, mean, spread, counts[level], values[level])
            below += counts[level]
            level += 1
        scores[c] = _add(below, mean, spread, size - below, values[level])[1]
        # The next pixel up: `level` is where it lies, because its predecessors are not all used up.
        thresholds[c] = values[level]
    # Downwards: the upper side is the rest.
    level, above, mean, spread = len(values) - 1, 0, 0.0, 0.0
    for c in range(n_candidates - 1, -1, -1):
        size = n - c * step - 1
        while above + counts[level] <= size:
            mean, spread = _add(above, mean, spread, counts[level], values[level])
            above += counts[level]
            level -= 1
        if size > 1:
            scores[c] += _add(above, mean, spread, size - above, values[level])[1] * size / (size - 1)
    best = int(np.argmin(scores))
    return (thresholds[max(best - 1, 0)] + thresholds[min(best + 1, n_candidates - 1)]) / 2


@njit(cache=True)
def _add(n: int, mean: float, spread: float, n_more: int, value: float) -> tuple[float, float]:
    """Mean and summed squared deviation of `n` pixels after `n_more` of one `value` join them."""
    difference = value - mean
    total = n + n_more
    return mean + difference * n_more / total, spread + difference * difference * n * n_more / total
