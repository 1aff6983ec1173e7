"""A plane and what several metrics ask of it, each fact computed at most once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit

from imaging.metrics import passes
from imaging.metrics.ceiling import camera_ceiling

N_LEVELS = 65_536
# Fields are compared at this coarseness whatever the camera: one block is then about 1/256 of the field.
COARSE_ACROSS = 256
N_TILES = 16
# A few bad pixels must not set the range: robust metrics leave out this much at both ends.
CLIPPED_PERCENT = 0.1
# Median of |x| of a Gaussian of SD 1.
MEDIAN_OF_NORMAL = 0.6744897501960817
BENDS_PER_NOISE = 6.0
SUPPORTED = (np.dtype(np.uint8), np.dtype(np.uint16))


@dataclass(frozen=True, eq=False)
class PlaneFacts:
    """One channel of one field.

    Attributes
    ----------
    pixels
        (H, W), uint16 and contiguous whatever the file held, so each kernel is compiled once.
    container_max
        Largest value of the file's pixel type; pixels are scaled by it to 0..1.
    known_ceiling
        The camera's largest value if the caller knows it, for example from the whole plate.
    """

    pixels: np.ndarray
    container_max: int
    known_ceiling: int | None = None

    @cached_property
    def histogram(self) -> np.ndarray:
        """Pixels of each value, (65536,). All statistics of intensity come from it."""
        return count_values(self.pixels)

    @cached_property
    def levels(self) -> np.ndarray:
        """The values that occur, ascending."""
        return np.flatnonzero(self.histogram)

    @cached_property
    def counts(self) -> np.ndarray:
        """Pixels of each level, int64."""
        return self.histogram[self.levels].astype(np.int64)

    @cached_property
    def scaled_levels(self) -> np.ndarray:
        """Levels as 0..1. CellProfiler rounds them to float32, and levels and medians follow from that."""
        return scale(self.levels, self.container_max)

    @property
    def _exact_levels(self) -> np.ndarray:
        # numpy computes a float32 array with a Python float in float32.
        return self.scaled_levels.astype(np.float64)

    @cached_property
    def total(self) -> float:
        """Sum of the scaled pixels."""
        return float(self.counts @ self._exact_levels)

    @property
    def mean(self) -> float:
        """Mean of the scaled pixels."""
        return self.total / self.pixels.size

    @cached_property
    def variance(self) -> float:
        """Population variance of the scaled pixels; exactly 0 for a constant plane."""
        return float(self.counts @ (self._exact_levels - self.mean) ** 2 / self.pixels.size)

    @property
    def is_constant(self) -> bool:
        """Every pixel has the same value."""
        return len(self.levels) == 1

    @cached_property
    def _reached(self) -> np.ndarray:
        return np.cumsum(self.counts)

    def percentile(self, percent: float) -> float:
        """Percentile of the unscaled pixels, interpolated as numpy does."""
        position = percent / 100 * (self.pixels.size - 1)
        lower, upper = math.floor(position), math.ceil(position)
        darker, brighter = self.levels[np.searchsorted(self._reached, (lower, upper), side="right")]
        return float(darker + (brighter - darker) * (position - lower))

    @cached_property
    def clipped_range(self) -> tuple[int, int]:
        """Lowest and highest pixel value once 0.1 % of the pixels are left out at both ends."""
        return round(self.percentile(CLIPPED_PERCENT)), round(self.percentile(100 - CLIPPED_PERCENT))

    @cached_property
    def noise_sd(self) -> float:
        """SD of the noise from pixel to pixel, unscaled; NaN without a pixel that has 8 neighbours.

        Never below what rounding to grey steps makes, but 0 for a constant plane.
        """
        if min(self.pixels.shape) < 3:
            return math.nan
        if self.is_constant:
            return 0.0
        rounding = float(np.diff(self.levels).min()) / math.sqrt(12)
        median = passes.middle_of_counts(passes.count_bends(self.pixels))
        return max(median / (MEDIAN_OF_NORMAL * BENDS_PER_NOISE), rounding)

    @cached_property
    def sums_of_tiles(self) -> np.ndarray:
        """Sums over a grid of 16 x 16 tiles, fewer where pixels are fewer; see `passes.sums_of_tiles`."""
        height, width = self.pixels.shape
        return passes.sums_of_tiles(self.pixels, min(N_TILES, height), min(N_TILES, width))

    @cached_property
    def coarse(self) -> np.ndarray:
        """Means of square blocks, unscaled float32, 129 to 256 along the longer side (or the pixels themselves)."""
        return passes.means_of_blocks(self.pixels, -(-max(self.pixels.shape) // COARSE_ACROSS))

    @cached_property
    def coarse_ascending(self) -> np.ndarray:
        """All values of `coarse` in order."""
        return np.sort(self.coarse, axis=None)

    @property
    def coarse_is_constant(self) -> bool:
        """Every block has the same mean; the pixels may still differ, as in a fine chequerboard."""
        return bool(self.coarse_ascending[0] == self.coarse_ascending[-1])

    @cached_property
    def coarse_median_and_sd(self) -> tuple[float, float]:
        """Median of `coarse` and its robust SD (1.4826 MAD)."""
        median = float(np.median(self.coarse_ascending))
        return median, float(np.median(np.abs(self.coarse_ascending - median))) / MEDIAN_OF_NORMAL

    @cached_property
    def ceiling(self) -> int:
        """The camera's largest value: the caller's, unless a pixel above it proves that wrong."""
        if self.known_ceiling is not None and self.levels[-1] <= self.known_ceiling:
            return self.known_ceiling
        return camera_ceiling(self.levels, self.container_max)


def check_plane(pixels: np.ndarray, container_max: int, ceiling: int | None = None) -> PlaneFacts:
    """Facts of a plane that can be measured.

    Raises
    ------
    ValueError
        In a sentence for people, when the plane is empty, not (H, W), not uint8 or uint16, or brighter
        than `container_max`, or when `ceiling` lies outside 1..`container_max`.
    """
    if pixels.ndim != 2:
        raise ValueError(f"A plane has height and width; this array has the shape {pixels.shape}.")
    if pixels.size == 0:
        raise ValueError(f"The plane has no pixels; its shape is {pixels.shape}.")
    # Other pixel types (float, signed) come in here: as uint16, or with facts of their own.
    if pixels.dtype.newbyteorder("=") not in SUPPORTED:
        raise ValueError(f"Pixels must be uint8 or uint16; these are {pixels.dtype}.")
    if ceiling is not None and not 1 <= ceiling <= container_max:
        raise ValueError(f"The camera's ceiling must lie in 1..{container_max}; it is {ceiling}.")
    # Writeable, because numba would compile every kernel again for read-only arrays.
    facts = PlaneFacts(np.require(pixels, np.uint16, ["C", "W"]), container_max, ceiling)
    if facts.levels[-1] > container_max:
        raise ValueError(f"A pixel is {facts.levels[-1]}, above the file's maximum {container_max}.")
    return facts


def scale(values: np.ndarray, container_max: int) -> np.ndarray:
    """Values as 0..1 in float32, rounded once, as CellProfiler loads them."""
    return values.astype(np.float32) / np.float32(container_max)


@njit(cache=True)
def count_values(pixels: np.ndarray) -> np.ndarray:
    """Histogram of a uint16 plane, one bin per value."""
    counts = np.zeros(N_LEVELS, np.uint32)
    for value in pixels.ravel():
        counts[value] += 1
    return counts
