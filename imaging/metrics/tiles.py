"""What stands out locally: tiles of the field against its other tiles."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from imaging.metrics.facts import MEDIAN_OF_NORMAL, N_TILES, PlaneFacts
from imaging.metrics.passes import INNER, LAPLACIAN, N_SUMS, PIXELS, SUM, variances_of_tiles
from imaging.metrics.registry import CELLQC, Metric, family

MEAN_DEVIATION_OF_NORMAL = math.sqrt(2 / math.pi)
# Tiles must hold several cells, or cells are what stands out; a large artefact in many tiles hides itself.
ACROSS = 8
# Every one of the finer tiles needs pixels whose neighbours exist.
SMALLEST_SIDE = 3 * N_TILES
OF_TILES = "robust SDs of the tiles"


@family(
    Metric(
        name="TileMeanDeviation",
        prefix=CELLQC,
        unit=OF_TILES,
        higher_means="with one spot brighter or darker, farther from the rest",
        lower_means="more alike all over in brightness",
        range=(0, math.inf),
        description="The tile whose brightness is farthest from the other tiles': debris, glaring objects, a hole.",
        source="cellqc",
    ),
    Metric(
        name="TileSpreadDeviation",
        prefix=CELLQC,
        unit=OF_TILES,
        higher_means="with the contrast of one spot farther from the rest",
        lower_means="more alike all over in contrast",
        range=(0, math.inf),
        description="The tile whose contrast is farthest from the other tiles': debris, glaring or dead cells.",
        source="cellqc",
    ),
    Metric(
        name="TileSharpnessDeviation",
        prefix=CELLQC,
        unit=OF_TILES,
        higher_means="with one spot sharper or blurrier, farther from the rest",
        lower_means="more alike all over in sharpness",
        range=(0, math.inf),
        description="The tile whose fine detail is farthest from the other tiles'.",
        source="cellqc",
    ),
    Metric(
        name="BrightestTile",
        prefix=CELLQC,
        unit="",
        higher_means="with a brighter brightest spot",
        lower_means="with a dimmer brightest spot",
        range=(1, math.inf),
        description="Mean of the brightest tile over that of the middle one.",
        source="cellqc",
    ),
    Metric(
        name="DarkestTile",
        prefix=CELLQC,
        unit="",
        higher_means="with a less dark darkest spot",
        lower_means="with a darker darkest spot",
        range=(0, 1),
        description="Mean of the darkest tile over that of the middle one.",
        source="cellqc",
    ),
)
def local_deviations(plane: PlaneFacts) -> Sequence[float]:
    """Largest deviations of tiles (0 and above; higher is more local), brightest and darkest tile (1, 0 to 1).

    Deviations are those of 8 x 8 tiles from their median, in robust SDs: of the mean, of the SD of the coarse
    plane, of the root mean square of the Laplacian. An offset or gain does not change them. What spoils one tile
    is far out however little of the field it covers; what runs through many tiles widens their own spread and
    shows in `RidgeLength` instead. The last two are of 16 x 16 tiles, and NaN when the middle one is 0. All are
    NaN for sides below 48 pixels. Source: cellqc.
    """
    if min(plane.pixels.shape) < SMALLEST_SIDE:
        return [math.nan] * 5
    fine = plane.sums_of_tiles
    per_tile = N_TILES // ACROSS
    sums = fine.reshape(ACROSS, per_tile, ACROSS, per_tile, N_SUMS).sum(axis=(1, 3))
    means = fine[:, :, SUM] / fine[:, :, PIXELS]
    middle = float(np.median(means))
    return (
        largest_deviation(sums[:, :, SUM] / sums[:, :, PIXELS]),
        largest_deviation(np.sqrt(variances_of_tiles(plane.coarse, ACROSS))),
        largest_deviation(np.sqrt(sums[:, :, LAPLACIAN] / sums[:, :, INNER])),
        float(means.max()) / middle if middle else math.nan,
        float(means.min()) / middle if middle else math.nan,
    )


def largest_deviation(values: np.ndarray) -> float:
    """Largest distance from the median in robust SDs (0 and above); 0 when all are alike.

    Where more than half share one value, the mean distance takes the place of the median distance.
    Source: Iglewicz & Hoaglin 1993.
    """
    distances = np.abs(values - np.median(values))
    spread = float(np.median(distances)) / MEDIAN_OF_NORMAL or float(distances.mean()) / MEAN_DEVIATION_OF_NORMAL
    return float(distances.max()) / spread if spread else 0.0
