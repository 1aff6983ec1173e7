"""Seeded randomness by name, and the smooth noise every picture is built from."""

from __future__ import annotations

from zlib import crc32

import cv2
import numpy as np
from numpy.random import Generator, SeedSequence

from imaging.simulate.kinds import Plane


def generator(seed: int, *names: str | int) -> Generator:
    """The random stream of one named thing. Streams with different names are independent."""
    # crc32, because Python's own hash() differs from process to process.
    return np.random.default_rng(SeedSequence(seed, spawn_key=[crc32(str(name).encode()) for name in names]))


def white_noise(rng: Generator, size: tuple[int, int]) -> Plane:
    """Independent normal values (mean 0, sd 1)."""
    return rng.standard_normal(size, dtype=np.float32)


def smooth_noise(rng: Generator, size: tuple[int, int], length_px: float) -> Plane:
    """Normal noise (mean 0, sd 1) that varies over about `length_px` pixels."""
    # Long waves are drawn on a coarse grid and enlarged: the same look at a fraction of the cost.
    step = max(1, int(length_px / 2))
    coarse = (size[0] // step + 4, size[1] // step + 4)
    noise = cv2.GaussianBlur(white_noise(rng, coarse), (0, 0), length_px / step)
    noise = noise / np.float32(max(float(noise.std()), 1e-6))
    if step > 1:
        noise = cv2.resize(noise, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(noise[: size[0], : size[1]])


def wide_blur(plane: Plane, sigma_px: float) -> Plane:
    """A Gaussian blur of many pixels, done on a quarter of the grid."""
    small = cv2.resize(plane, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma_px / 4)
    wide = cv2.resize(small, (plane.shape[1], plane.shape[0]), interpolation=cv2.INTER_LINEAR)
    return wide.astype(np.float32, copy=False)


def ramp(values: Plane) -> Plane:
    """Values clipped to 0..1 and eased at both ends, so that no outline has a visible kink."""
    clipped = np.clip(values, 0, 1)
    return clipped * clipped * (3 - 2 * clipped)
