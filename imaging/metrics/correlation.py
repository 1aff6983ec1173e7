"""How alike pixels are to their neighbours some way to the right."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numba import njit

from imaging.metrics.facts import PlaneFacts
from imaging.metrics.registry import CELLQC, Metric, family

SCALES_PX = (10, 20)
N_GREY = 8


@family(
    *(
        Metric(
            name="Correlation",
            scale=scale_px,
            unit="",
            higher_means="blurrier",
            lower_means="sharper",
            range=(-1, 1),
            description=f"How alike pixels {scale_px} columns apart are, in 8 grey levels. "
            "One hot pixel makes it collapse.",
        )
        for scale_px in SCALES_PX
    )
)
def correlations(plane: PlaneFacts) -> Sequence[float]:
    """Haralick's correlation of pixels some columns apart, at each scale (-1 to 1; higher is blurrier).

    The plane is cut into 8 grey levels between its own minimum and maximum. 0 where it is undefined:
    a plane without contrast, or narrower than the scale. Source: CellProfiler's Correlation (Haralick 1973,
    feature 3), which looks in one direction and is not symmetrised.
    """
    if plane.is_constant:
        return [0.0] * len(SCALES_PX)
    greys = quantise(plane.pixels, first_values_of_greys(plane))
    return [correlation(greys, scale_px) for scale_px in SCALES_PX]


@family(
    *(
        Metric(
            name="RobustCorrelation",
            prefix=CELLQC,
            scale=scale_px,
            unit="",
            higher_means="blurrier",
            lower_means="sharper, or empty and noisy",
            range=(-1, 1),
            description=f"How alike pixels {scale_px} columns apart are, in 8 grey levels between the 0.1st and the "
            "99.9th percentile, so that hot pixels change nothing.",
            source="CellProfiler's Correlation, between percentiles",
        )
        for scale_px in SCALES_PX
    )
)
def robust_correlations(plane: PlaneFacts) -> Sequence[float]:
    """Correlation of pixels some columns apart, clipped to percentiles (-1 to 1; higher is blurrier).

    NaN where it is undefined: no contrast between the percentiles, or a plane narrower than the scale. An offset
    changes nothing. Source: CellProfiler's Correlation, with 8 grey levels from the 0.1st to the 99.9th percentile.
    """
    low, high = plane.clipped_range
    if high <= low:
        return [math.nan] * len(SCALES_PX)
    first_values = np.ceil(low + (high - low) * np.arange(1, N_GREY) / N_GREY).astype(np.uint16)
    greys = quantise(plane.pixels, first_values)
    return [correlation(greys, scale_px, undefined=math.nan) for scale_px in SCALES_PX]


def first_values_of_greys(plane: PlaneFacts) -> np.ndarray:
    """Smallest occurring pixel value of the grey levels 1 to 7, uint16 (7,).

    Rounded as CellProfiler does: difference in float32, quotient in float64.
    """
    scaled = plane.scaled_levels
    share = (scaled - scaled[0]) / np.float64(scaled[-1] - scaled[0])
    first = np.searchsorted(share, np.arange(1, N_GREY) / N_GREY)
    return plane.levels[first].astype(np.uint16)


def correlation(greys: np.ndarray, distance_px: int, undefined: float = 0.0) -> float:
    """Pearson's correlation of grey levels (H, W) with those `distance_px` columns to the right."""
    height, width = greys.shape
    n = height * (width - distance_px)
    # Python's integers: products of sums are exact at any image size.
    x, y, xx, yy, xy = (int(value) for value in sums_of_pairs(greys, distance_px))
    spread = (n * xx - x * x) * (n * yy - y * y)
    return (n * xy - x * y) / math.sqrt(spread) if spread > 0 else undefined  # without pairs, too


@njit(cache=True)
def quantise(pixels: np.ndarray, first_values: np.ndarray) -> np.ndarray:
    """Grey level of each pixel: how many of the seven `first_values` it reaches, uint8 (H, W)."""
    height, width = pixels.shape
    greys = np.empty((height, width), np.uint8)
    # Seven comparisons of 16 bits run 16 pixels at a time; looking up a table does not.
    a, b, c, d, e, f, g = first_values
    for i in range(height):
        row = pixels[i]
        for j in range(width):
            v = row[j]
            greys[i, j] = (v >= a) + (v >= b) + (v >= c) + (v >= d) + (v >= e) + (v >= f) + (v >= g)
    return greys


@njit(cache=True)
def sums_of_pairs(greys: np.ndarray, distance_px: int) -> np.ndarray:
    """Sums of x, y, x x, y y and x y over pairs `distance_px` columns apart, int64 (5,)."""
    height, width = greys.shape
    x = y = xx = yy = xy = np.int64(0)
    for i in range(height):
        row = greys[i]
        for j in range(width - distance_px):
            left = np.int64(row[j])
            right = np.int64(row[j + distance_px])
            x += left
            y += right
            xx += left * left
            yy += right * right
            xy += left * right
    return np.array((x, y, xx, yy, xy))
