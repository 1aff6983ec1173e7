"""What the camera did to the picture: saturation and hot pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numba import njit

from imaging.metrics.facts import N_LEVELS, PlaneFacts
from imaging.metrics.registry import CELLQC, Metric, family

# A pixel is hot when it tops its brightest neighbour by more than 8 SDs of the plane's noise and by more than
# 4 times the neighbours' own range. In noise the latter alone is about 11 SDs; a spot of light as small
# as optics make it (SD one pixel) lifts its neighbours and reaches 1.6 ranges.
NOISE_SDS = 8.0
NEIGHBOUR_RANGES = 4
# Median of |difference of two Gaussians of SD 1|, inverted.
SD_PER_MEDIAN_DIFFERENCE = 1 / (0.6744897501960817 * math.sqrt(2))


@family(
    Metric(
        name="SaturatedPercent",
        prefix=CELLQC,
        unit="%",
        higher_means="more saturated",
        lower_means="less saturated",
        range=(0, 100),
        description="Pixels at the largest value the camera can give: their true brightness is lost.",
        source="cellqc",
        for_scoring=True,
    ),
    Metric(
        name="CameraCeiling",
        prefix=CELLQC,
        unit="share of the file's maximum",
        higher_means="camera with more bits",
        lower_means="camera with fewer bits",
        range=(0, 1),
        description="The largest value the camera can give, as assumed for saturation.",
        source="cellqc",
        is_setup=True,
    ),
)
def saturation(plane: PlaneFacts) -> Sequence[float]:
    """Percent of pixels at the camera's ceiling (0 to 100; higher is worse), and that ceiling (0 to 1).

    See `camera_ceiling` for the guess when the caller gives none. Source: cellqc.
    """
    n_saturated = plane.counts[plane.levels >= plane.ceiling].sum()
    return 100.0 * float(n_saturated) / plane.pixels.size, plane.ceiling / plane.container_max


@family(
    Metric(
        name="HotPixelPercent",
        prefix=CELLQC,
        unit="%",
        higher_means="more hot pixels",
        lower_means="fewer hot pixels",
        range=(0, 100),
        description="Single pixels far brighter than all their neighbours: camera defects or cosmic rays.",
        source="cellqc",
    )
)
def hot_pixel_percent(plane: PlaneFacts) -> Sequence[float]:
    """Percent of pixels that stand alone, far above all 8 neighbours (0 to 100; higher is worse).

    Pixels on the border are left out; NaN for planes without any other. Pairs of hot pixels hide each
    other. The noise is estimated from differences of adjacent pixels, so structure hardly counts.
    Source: cellqc.
    """
    height, width = plane.pixels.shape
    if height < 3 or width < 3:
        return (math.nan,)
    if plane.is_constant:
        return (0.0,)
    noise_sd = SD_PER_MEDIAN_DIFFERENCE * median_difference(plane.pixels)
    # Dim or coarsely digitised planes can show no noise at all; one step of grey is no hot pixel.
    grey_step = float(np.diff(plane.levels).min())
    least_jump = math.floor(NOISE_SDS * max(noise_sd, grey_step))
    n_hot = count_hot(plane.pixels, least_jump)
    return (100.0 * n_hot / ((height - 2) * (width - 2)),)


@njit(cache=True)
def median_difference(pixels: np.ndarray) -> int:
    """Median of the absolute difference between horizontally adjacent pixels (the lower one of two)."""
    height, width = pixels.shape
    counts = np.zeros(N_LEVELS, np.uint32)
    for i in range(height):
        row = pixels[i]
        for j in range(width - 1):
            counts[abs(np.int64(row[j + 1]) - np.int64(row[j]))] += 1
    left = (height * (width - 1) + 1) // 2
    difference = 0
    while left > counts[difference]:
        left -= counts[difference]
        difference += 1
    return difference


@njit(cache=True)
def count_hot(pixels: np.ndarray, least_jump: int) -> int:
    """Pixels inside the border that top their brightest neighbour by more than both limits."""
    height, width = pixels.shape
    n_hot = 0
    for i in range(1, height - 1):
        for j in range(1, width - 1):
            floor = np.int64(pixels[i, j]) - least_jump
            # Nearly every pixel ends here.
            if pixels[i, j - 1] < floor and pixels[i, j + 1] < floor:
                brightest, darkest = np.int64(0), np.int64(N_LEVELS)
                for y in range(i - 1, i + 2):
                    for x in range(j - 1, j + 2):
                        if y != i or x != j:
                            brightest = max(brightest, np.int64(pixels[y, x]))
                            darkest = min(darkest, np.int64(pixels[y, x]))
                jump = np.int64(pixels[i, j]) - brightest
                if jump > least_jump and jump > NEIGHBOUR_RANGES * (brightest - darkest):
                    n_hot += 1
    return n_hot
