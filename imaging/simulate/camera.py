"""The microscope: how evenly it lights the field, and what its camera makes of the light."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from imaging.simulate.kinds import Planes
from imaging.simulate.plan import CHANNELS, PlateRecipe
from imaging.simulate.randomness import generator, white_noise

OFFSET = 140.0
READ_NOISE = 1.6  # counts
COUNTS_PER_ELECTRON = 0.12  # a long exposure: little noise also keeps the compressed plate small
# The signal is drawn for a 16-bit camera that the brightest cells fill to a quarter. Cameras with a lower
# ceiling get less gain, so that nothing but a defect reaches it.
DRAWN_FOR = 24000
HOT_PIXELS = 7


def signal_scale(recipe: PlateRecipe) -> float:
    return min(1.0, recipe.ceiling / DRAWN_FOR)


@lru_cache(maxsize=4)
def light(recipe: PlateRecipe) -> Planes:
    """(3, H, W) share of the light each pixel gets: a little vignetting and tilt, alike in all wells."""
    height, width = recipe.size
    ys, xs = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    planes = np.empty((len(CHANNELS), height, width), np.float32)
    for i, channel in enumerate(CHANNELS):
        rng = generator(recipe.seed, recipe.barcode, "light", channel)
        x, y = rng.normal(0, 0.15, 2).astype(np.float32)
        tilt_x, tilt_y = rng.normal(0, 0.04, 2).astype(np.float32)
        falloff = np.float32(rng.uniform(0.05, 0.13))
        planes[i] = 1.03 - falloff * ((xs - x) ** 2 + (ys - y) ** 2) + tilt_x * xs + tilt_y * ys
    planes.setflags(write=False)
    return planes


def expose(rng: Generator, recipe: PlateRecipe, signal: Planes) -> NDArray[np.uint16]:
    """What the camera writes of a signal above its offset: photon and read noise, hot pixels, ceiling."""
    scale = np.float32(signal_scale(recipe))
    counts = signal * scale
    # With hundreds of photons a pixel, Poisson noise is normal with the variance of the light.
    sigma = np.sqrt(np.maximum(counts, 0) * (COUNTS_PER_ELECTRON * scale) + READ_NOISE**2 * scale)
    for plane, spread in zip(counts, sigma, strict=True):
        plane += spread * white_noise(rng, recipe.size)
    counts += np.float32(OFFSET)
    rows, columns, heat = _hot_pixels(recipe)
    counts[:, rows, columns] += heat * scale
    return np.clip(np.rint(counts), 0, recipe.ceiling).astype(np.uint16)


def _hot_pixels(
    recipe: PlateRecipe,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """The same few pixels of the camera in every field, channel and plate."""
    rng = generator(recipe.seed, "camera")
    rows = rng.integers(0, recipe.size[0], HOT_PIXELS)
    columns = rng.integers(0, recipe.size[1], HOT_PIXELS)
    return rows, columns, rng.uniform(300, 3500, HOT_PIXELS).astype(np.float32)
