"""Focus from the power spectrum."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numba import njit
from scipy import fft

from imaging.metrics.facts import PlaneFacts
from imaging.metrics.passes import halved
from imaging.metrics.registry import CELLQC, Metric, family

# Rings beyond an eighth of the shorter side are left out, as CellProfiler does.
SHARE_OF_SIDE = 8


@family(
    Metric(
        name="PowerLogLogSlope",
        unit="",
        higher_means="sharper, or empty and noisy",
        lower_means="blurrier",
        range=(-math.inf, math.inf),
        description="How fast detail fades towards finer structures. Read it from both sides: an empty, "
        "noisy field looks sharpest of all, and heavy blur under noise turns back up.",
    )
)
def power_log_log_slope(plane: PlaneFacts) -> Sequence[float]:
    """Slope of log power against log spatial frequency (about -8 to 1; lower is blurrier).

    0 where it is undefined: a constant plane, fewer than two rings (a side below 32 pixels), or more
    than half of the pixels equal to the mean. Source: CellProfiler's PowerLogLogSlope, whose rings hold
    summed power and count negative frequencies from 1 where positive ones count from 0.
    """
    last_ring = min(plane.pixels.shape) // SHARE_OF_SIDE - 1
    if last_ring < 3 or _median_distance_is_zero(plane):
        return (0.0,)
    return (slope_of_rings(power_of_rings(plane.pixels, last_ring)),)


@family(
    Metric(
        name="RobustPowerLogLogSlope",
        prefix=CELLQC,
        unit="",
        higher_means="sharper, or empty and noisy",
        lower_means="blurrier",
        range=(-math.inf, math.inf),
        description="How fast detail fades towards finer structures, after pixels beyond the 0.1st and the 99.9th "
        "percentile were clipped, so that hot pixels change little. Read it from both sides.",
        source="CellProfiler's PowerLogLogSlope, between percentiles",
        for_scoring=True,
    )
)
def robust_power_log_log_slope(plane: PlaneFacts) -> Sequence[float]:
    """Slope of log power against log frequency of the clipped plane (about -8 to 1; lower is blurrier).

    Pixels are clipped to the 0.1st and 99.9th percentile and averaged two by two: the rings reach only an eighth
    of the sampling rate, so nothing they hold is lost, and it costs a quarter. NaN where it is undefined: no
    contrast between the percentiles, or fewer than two rings (a side below 32 pixels). Source: CellProfiler's
    PowerLogLogSlope, on the clipped plane.
    """
    last_ring = min(plane.pixels.shape) // SHARE_OF_SIDE - 1
    low, high = plane.clipped_range
    if last_ring < 3 or high <= low:
        return (math.nan,)
    power = power_of_rings(halved(plane.pixels, low, high), last_ring)
    return (slope_of_rings(power, undefined=math.nan),)


def _median_distance_is_zero(plane: PlaneFacts) -> bool:
    # CellProfiler divides by the median of |x - mean|, which leaves the slope as it is unless it is 0.
    is_mean = plane.scaled_levels == np.float32(plane.mean)
    return bool(2 * plane.counts[is_mean].sum() > plane.pixels.size)


def power_of_rings(pixels: np.ndarray, last_ring: int) -> np.ndarray:
    """Power summed over each ring 2 .. `last_ring` of the spectrum of a plane (H, W)."""
    # Pixel values are exact in float32; without the mean, rounding stays small beside the detail.
    centred = np.subtract(pixels, np.float32(pixels.mean()), dtype=np.float32)
    by_row = fft.rfft(centred, axis=1, overwrite_x=True)
    # Only the coarse frequencies are wanted: transform just these columns, laid out as rows.
    coarse = np.ascontiguousarray(by_row[:, : last_ring + 1].T)
    return sum_rings(fft.fft(coarse, axis=1, overwrite_x=True), last_ring)


def slope_of_rings(power: np.ndarray, undefined: float = 0.0) -> float:
    """Least-squares slope of log power on log ring number, from ring 2, over the rings that have power."""
    lit = power > 0
    if lit.sum() < 2:
        return undefined
    x = np.log(np.arange(2, 2 + len(power))[lit])
    x -= x.mean()
    return float(x @ np.log(power[lit]) / (x @ x))


@njit(cache=True)
def sum_rings(spectrum: np.ndarray, last_ring: int) -> np.ndarray:
    """Power of rings 2 .. `last_ring`; `spectrum[kx, ky]` holds columns 0 .. `last_ring`, all of ky.

    In the full spectrum, indices k and n - 1 - k (frequencies k and -(k + 1)) are both at distance k.
    Columns of negative frequency are not computed: there |F(ky, -kx)| = |F(-ky, kx)|.
    """
    height = spectrum.shape[1]
    power = np.zeros(last_ring + 1)
    for kx in range(last_ring):
        for ky in range(last_ring):
            ring = int(math.sqrt(ky * ky + kx * kx)) + 1
            if 2 <= ring <= last_ring:
                power[ring] += (
                    _power(spectrum[kx, ky])
                    + _power(spectrum[kx, height - 1 - ky])
                    + _power(spectrum[kx + 1, (height - ky) % height])
                    + _power(spectrum[kx + 1, ky + 1])
                )
    return power[2:]


@njit(cache=True)
def _power(value: np.complex64) -> np.float64:
    real, imaginary = np.float64(value.real), np.float64(value.imag)
    return real * real + imaginary * imaginary
