"""How evenly the field is lit."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from imaging.metrics.facts import PlaneFacts
from imaging.metrics.passes import quantiles_of_tiles
from imaging.metrics.registry import CELLQC, Metric, family
from imaging.metrics.tiles import largest_deviation

N_TILES = 8
# In most tiles a quarter of the area is free of cells, so this is the background.
BACKGROUND_SHARE = 0.25
OF_BACKGROUND = "share of the mean background"


def _design() -> tuple[np.ndarray, np.ndarray]:
    """Matrices (64, 64) that map tile values to their best plane and their best quadratic."""
    down, across = (axis.ravel() for axis in np.mgrid[-1 : 1 : N_TILES * 1j, -1 : 1 : N_TILES * 1j])
    flat = [np.ones(N_TILES**2), down, across]
    curved = [*flat, down * across, down**2, across**2]
    plane, quadratic = (np.stack(terms, axis=1) for terms in (flat, curved))
    return plane @ np.linalg.pinv(plane), quadratic @ np.linalg.pinv(quadratic)


TO_PLANE, TO_QUADRATIC = _design()


@family(
    Metric(
        name="LightTilt",
        prefix=CELLQC,
        unit=OF_BACKGROUND,
        higher_means="lit more from one side",
        lower_means="lit less from one side",
        range=(0, math.inf),
        description="How much the background rises from one side of the field to the other.",
        source="cellqc",
        for_scoring=True,
    ),
    Metric(
        name="LightFalloff",
        prefix=CELLQC,
        unit=OF_BACKGROUND,
        higher_means="lit less evenly",
        lower_means="lit more evenly",
        range=(0, math.inf),
        description="How much a smooth surface through the background rises from its darkest to its brightest place.",
        source="cellqc",
        for_scoring=True,
    ),
    Metric(
        name="LightPatchiness",
        prefix=CELLQC,
        unit=OF_BACKGROUND,
        higher_means="patchier in its background",
        lower_means="smoother in its background",
        range=(0, math.inf),
        description="How much the background departs from a smooth surface: smears, bubbles, clumps of cells.",
        source="cellqc",
    ),
    Metric(
        name="QuadrantRatio",
        prefix=CELLQC,
        unit="",
        higher_means="lit more evenly",
        lower_means="lit less evenly",
        range=(0, 1),
        description="Background of the darkest quarter of the field over that of the brightest quarter.",
        source="cellqc",
        for_scoring=True,
    ),
    Metric(
        name="BackgroundDeviation",
        prefix=CELLQC,
        unit="robust SDs of the tiles",
        higher_means="with one spot of the background farther from a smooth surface",
        lower_means="smoother in its background",
        range=(0, math.inf),
        description="How far the background of the oddest place lies from a smooth surface: fibre, smear, glow of "
        "debris.",
        source="cellqc",
    ),
)
def evenness_of_light(plane: PlaneFacts) -> Sequence[float]:
    """Tilt, falloff, patchiness, quadrant ratio, largest deviation (0 and above; higher is less even, ratio aside).

    The background is the 25th percentile of each of 8 x 8 tiles of the coarse plane; a plane and a quadratic
    are fitted to it. The ratio lies in 0 to 1. The camera's offset makes light look more even, but does
    not change the last value. NaN below 8 pixels or for a background of 0. Source: cellqc.
    """
    if min(plane.coarse.shape) < N_TILES:
        return [math.nan] * 5
    background = quantiles_of_tiles(plane.coarse, N_TILES, BACKGROUND_SHARE)
    mean = float(background.mean())
    if mean == 0:
        return [math.nan] * 5
    values = background.ravel() - mean
    tilted, curved = TO_PLANE @ values, TO_QUADRATIC @ values
    half = N_TILES // 2
    quadrants = [part.mean() for rows in np.split(background, [half]) for part in np.split(rows, [half], axis=1)]
    return (
        float(np.ptp(tilted)) / mean,
        float(np.ptp(curved)) / mean,
        float((values - curved).std()) / mean,
        float(min(quadrants) / max(quadrants)),
        # A thousandth of a grey step is rounding, and no deviation.
        largest_deviation(np.round(values - curved, 3)),
    )
