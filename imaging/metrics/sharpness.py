"""Sharpness from differences of near pixels, as it is and with the noise taken out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from imaging.metrics.facts import PlaneFacts
from imaging.metrics.intensity import OF_CONTAINER
from imaging.metrics.passes import INNER, LAPLACIAN, STEP_1, STEP_2, TENENGRAD
from imaging.metrics.registry import CELLQC, Metric, family

SQUARED = f"{OF_CONTAINER}, squared"
NOISY_TOO = "Noise and brightness raise it, too."


@family(
    Metric(
        name="LaplacianVariance",
        prefix=CELLQC,
        unit=SQUARED,
        higher_means="sharper, brighter or noisier",
        lower_means="blurrier or dimmer",
        range=(0, math.inf),
        description=f"How strongly pixels differ from the mean of their four neighbours. {NOISY_TOO}",
        source="Pech-Pacheco et al. 2000",
        for_scoring=True,
    ),
    Metric(
        name="Tenengrad",
        prefix=CELLQC,
        unit=SQUARED,
        higher_means="sharper, brighter or noisier",
        lower_means="blurrier or dimmer",
        range=(0, math.inf),
        description=f"How steep the slopes of brightness are, by Sobel's filter. {NOISY_TOO}",
        source="Tenenbaum 1970; Krotkov 1987",
    ),
    Metric(
        name="Brenner",
        prefix=CELLQC,
        unit=SQUARED,
        higher_means="sharper, brighter or noisier",
        lower_means="blurrier or dimmer",
        range=(0, math.inf),
        description=f"How much pixels differ that are two apart, along rows and columns. {NOISY_TOO}",
        source="Brenner et al. 1976, along both directions",
    ),
)
def gradients(plane: PlaneFacts) -> Sequence[float]:
    """Mean squared Laplacian, Sobel gradient and two-pixel difference (0 and above; higher is sharper or noisier).

    Over the pixels that have all 8 neighbours; NaN where there are none. The Laplacian's mean is next to 0, so
    its mean square is its variance. An offset changes nothing. Source: Pech-Pacheco 2000, Krotkov 1987,
    Brenner 1976.
    """
    sums = plane.sums_of_tiles.sum(axis=(0, 1))
    if sums[INNER] == 0:
        return [math.nan] * 3
    scale = sums[INNER] * float(plane.container_max) ** 2
    return [float(sums[which] / scale) for which in (LAPLACIAN, TENENGRAD, STEP_2)]


@family(
    Metric(
        name="NoiseFreeSharpness",
        prefix=CELLQC,
        unit="",
        higher_means="sharper",
        lower_means="blurrier, or empty",
        range=(-math.inf, math.inf),
        description="Share of the field's contrast that lies in details of one to two pixels, noise left out. "
        "Low for blur and for an empty, noisy field alike.",
        source="cellqc",
        for_scoring=True,
    ),
    Metric(
        name="SharpnessToNoise",
        prefix=CELLQC,
        unit="noise SDs",
        higher_means="clearer against its noise",
        lower_means="blurrier, or empty",
        range=(0, math.inf),
        description="Contrast of details of one to two pixels against the noise; near 0 when the field is blurred "
        "or holds nothing but noise.",
        source="cellqc",
        for_scoring=True,
    ),
    Metric(
        name="NoiseSD",
        prefix=CELLQC,
        unit=OF_CONTAINER,
        higher_means="noisier or grainier",
        lower_means="less noisy, or smoothed",
        range=(0, math.inf),
        description="Noise from pixel to pixel; brighter light and fine texture raise it.",
        source="Immerkær 1996, with a median",
    ),
)
def sharpness_without_noise(plane: PlaneFacts) -> Sequence[float]:
    """Sharpness free of noise (about 0 to 0.3), against noise (0 and above), noise (higher is sharper, noisier).

    Noise that pixels do not share adds as much to the squared difference of pixels one apart as of pixels two
    apart: their difference holds none of it. It is r(1) - r(2), the fall of the autocorrelation, times
    the variance. Unlike other sharpness, both blur and emptiness lower it. NaN for a constant plane and
    without a pixel that has 8 neighbours. An offset changes nothing, nor does gain (but for the noise).
    Source: cellqc; noise after Immerkær 1996.
    """
    sums = plane.sums_of_tiles.sum(axis=(0, 1))
    noise_sd = plane.noise_sd / plane.container_max
    if sums[INNER] == 0 or plane.is_constant:
        return math.nan, math.nan, noise_sd
    detail = float(sums[STEP_2] - sums[STEP_1]) / (sums[INNER] * float(plane.container_max) ** 2)
    return detail / (4 * plane.variance), math.sqrt(max(detail, 0.0)) / noise_sd, noise_sd


@family(
    Metric(
        name="CoarseSharpness",
        prefix=CELLQC,
        unit="",
        higher_means="finer structures",
        lower_means="coarser structures or heavy blur",
        range=(-math.inf, math.inf),
        description="Share of the field's contrast that lies in details of 1/128 to 1/64 of the field.",
        source="cellqc",
        for_scoring=True,
    )
)
def coarse_sharpness(plane: PlaneFacts) -> Sequence[float]:
    """Fall of the autocorrelation from 2 to 4 blocks of the coarse plane (about 0 to 0.5; higher is finer).

    NaN for planes without contrast or below 5 pixels. An offset or gain changes nothing. Source: cellqc.
    """
    coarse = plane.coarse
    if min(coarse.shape) < 5 or plane.coarse_is_constant:
        return (math.nan,)
    variance = float(coarse.var(dtype=np.float64))
    return ((_mean_square_step(coarse, 4) - _mean_square_step(coarse, 2)) / (4 * variance),)


def _mean_square_step(coarse: np.ndarray, distance: int) -> float:
    """Mean squared difference of blocks some way apart, along rows and along columns, added."""
    across = coarse[:, distance:] - coarse[:, :-distance]
    down = coarse[distance:] - coarse[:-distance]
    return float(np.square(across).mean(dtype=np.float64) + np.square(down).mean(dtype=np.float64))
