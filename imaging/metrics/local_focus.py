"""Focus from the spread of contrast over small blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numba import njit

from imaging.metrics.facts import PlaneFacts
from imaging.metrics.registry import Metric, family

SCALES_PX = (10, 20)


@family(
    *(
        Metric(
            name="LocalFocusScore",
            scale=scale_px,
            unit="",
            higher_means="sharper",
            lower_means="blurrier",
            range=(0, math.inf),
            description=f"How much the contrast of {scale_px}-pixel blocks differs over the field: in focus, "
            "some blocks have much and most little.",
        )
        for scale_px in SCALES_PX
    )
)
def local_focus_scores(plane: PlaneFacts) -> Sequence[float]:
    """Variance over median of the blocks' variance over mean, at each scale (0 and above; higher is sharper).

    Blocks without light are left out; 0 where the median is not above 0. CellProfiler's help says
    "mean", its code takes the median. Smoothing that takes the noise out of a dark background lowers the
    median and so raises the score: compare planes of the same camera. Source: CellProfiler's LocalFocusScore.
    """
    return [local_focus_score(plane.pixels, plane.container_max, scale_px) for scale_px in SCALES_PX]


def local_focus_score(pixels: np.ndarray, container_max: int, scale_px: int) -> float:
    """LocalFocusScore of a uint16 plane (H, W) for blocks of about `scale_px` pixels."""
    contrasts = contrasts_of_blocks(pixels, np.float32(container_max), scale_px)
    if len(contrasts) == 0:
        return 0.0
    median = float(np.median(contrasts))
    return float(np.var(contrasts)) / median if median > 0 else 0.0


@njit(cache=True, error_model="numpy")
def contrasts_of_blocks(pixels: np.ndarray, container_max: np.float32, scale_px: int) -> np.ndarray:
    """Variance over mean of each block that has light.

    Two passes over the rows of a block while they are in the cache: constant blocks must give exactly 0.
    Sums run along columns first, which is what the compiler can vectorise.
    """
    height, width = pixels.shape
    n_down = (height + scale_px - 1) // scale_px
    n_across = (width + scale_px - 1) // scale_px
    contrasts = np.empty(n_down * n_across)
    n_lit = 0
    sums = np.empty(width)
    squares = np.empty(width)
    mean_of_column = np.empty(width)
    mean_of_block = np.empty(n_across)
    for down in range(n_down):
        # Row i is in block floor(i m / H), so block b begins at ceil(b H / m).
        top = (down * height + n_down - 1) // n_down
        bottom = ((down + 1) * height + n_down - 1) // n_down
        sums[:] = 0.0
        squares[:] = 0.0
        for i in range(top, bottom):
            row = pixels[i]
            for j in range(width):
                sums[j] += np.float64(np.float32(row[j]) / container_max)
        for across in range(n_across):
            left = (across * width + n_across - 1) // n_across
            right = ((across + 1) * width + n_across - 1) // n_across
            mean = sums[left:right].sum() / ((bottom - top) * (right - left))
            mean_of_block[across] = mean
            mean_of_column[left:right] = mean
        for i in range(top, bottom):
            row = pixels[i]
            for j in range(width):
                deviation = np.float64(np.float32(row[j]) / container_max) - mean_of_column[j]
                squares[j] += deviation * deviation
        for across in range(n_across):
            left = (across * width + n_across - 1) // n_across
            right = ((across + 1) * width + n_across - 1) // n_across
            if mean_of_block[across] > 0:
                n_pixels = (bottom - top) * (right - left)
                contrasts[n_lit] = squares[left:right].sum() / (n_pixels * mean_of_block[across])
                n_lit += 1
    return contrasts[:n_lit]
