"""A plane and what several metrics ask of it, each fact computed at most once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit

from imaging.metrics.ceiling import camera_ceiling

N_LEVELS = 65_536
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
