"""How alike two channels of a field are: an artefact often shows in all channels alike."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from imaging.metrics.facts import PlaneFacts
from imaging.metrics.registry import CELLQC, Metric, pair_family

BRIGHT_SHARE = 0.02


@pair_family(
    Metric(
        name="PixelCorrelation",
        prefix=CELLQC,
        unit="",
        higher_means="more alike",
        lower_means="less alike",
        range=(-1, 1),
        description="Correlation of the brightness of two channels over the field. Dirt, bubbles and shadows show in "
        "all channels alike; blur or a wrong exposure of one channel does the opposite.",
        source="Pearson, on means of blocks",
        for_scoring=True,
    ),
    Metric(
        name="BrightOverlapPercent",
        prefix=CELLQC,
        unit="%",
        higher_means="bright more often in the same places",
        lower_means="bright more often in different places",
        range=(0, 100),
        description="How much of the brightest 2 % of the field is the same in both channels.",
        source="Dice 1945, on means of blocks",
    ),
)
def likeness(first: PlaneFacts, second: PlaneFacts) -> Sequence[float]:
    """Pearson's correlation (-1 to 1) and overlap of the brightest 2 % (0 to 100 %; higher is more alike).

    Of the coarse planes, whose blocks average noise and hot pixels away. NaN when a channel is constant; overlap
    also when nothing is brighter than its 98th percentile. An offset or gain changes nothing.
    Source: Pearson; Dice.
    """
    if first.coarse_is_constant or second.coarse_is_constant:
        return math.nan, math.nan
    return _correlation(first.coarse, second.coarse), _overlap_percent(first, second)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    x, y = (plane - plane.mean(dtype=np.float64) for plane in (a, b))
    spread = math.sqrt(float(np.vdot(x, x)) * float(np.vdot(y, y)))
    return min(max(float(np.vdot(x, y)) / spread, -1.0), 1.0)


def _overlap_percent(first: PlaneFacts, second: PlaneFacts) -> float:
    a, b = (_is_bright(plane) for plane in (first, second))
    n_bright = int(a.sum()) + int(b.sum())
    return 200.0 * int((a & b).sum()) / n_bright if a.any() and b.any() else math.nan


def _is_bright(plane: PlaneFacts) -> np.ndarray:
    ascending = plane.coarse_ascending
    return np.greater(plane.coarse, ascending[int((1 - BRIGHT_SHARE) * (len(ascending) - 1))])
