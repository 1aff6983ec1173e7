"""Whether there is anything in the field."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from imaging.metrics.facts import CLIPPED_PERCENT, PlaneFacts
from imaging.metrics.registry import CELLQC, Metric, family

N_BINS = 256
SMOOTHED_OVER = 5
BACKGROUND_SDS = 3.0
BRIGHT_PERCENT, DARK_PERCENT = 99, 5


@family(
    Metric(
        name="ForegroundPercent",
        prefix=CELLQC,
        unit="%",
        higher_means="fuller",
        lower_means="emptier",
        range=(0, 100),
        description="Share of the field that is brighter than its background, the most frequent grey value.",
        source="cellqc",
        for_scoring=True,
    ),
    Metric(
        name="ContrastToNoise",
        prefix=CELLQC,
        unit="noise SDs",
        higher_means="richer in contrast against its noise",
        lower_means="empty or faint",
        range=(0, math.inf),
        description="From the 5th to the 99th percentile in SDs of the noise; about 4 when there is only noise.",
        source="cellqc",
        for_scoring=True,
    ),
)
def emptiness(plane: PlaneFacts) -> Sequence[float]:
    """Percent of foreground (0 to 100; higher is fuller) and contrast to noise (0 and above; higher is clearer).

    The background is the mode of the coarse plane, its spread the root mean square distance of what
    is darker; the foreground begins 3 spreads above. NaN for a constant plane; contrast also without a pixel
    that has 8 neighbours. An offset or gain changes nothing. Source: cellqc.
    """
    if plane.is_constant:
        return math.nan, math.nan
    contrast = plane.percentile(BRIGHT_PERCENT) - plane.percentile(DARK_PERCENT)
    return _foreground_percent(plane.coarse_ascending), contrast / plane.noise_sd


def _foreground_percent(ascending: np.ndarray) -> float:
    low, high = np.percentile(ascending, (CLIPPED_PERCENT, 100 - CLIPPED_PERCENT))
    if high <= low:
        return 0.0
    edges = np.linspace(low, high, N_BINS + 1)
    counts = np.diff(np.searchsorted(ascending, edges))
    peak = int(np.argmax(np.convolve(counts, np.ones(SMOOTHED_OVER), "same")))
    background = (edges[peak] + edges[peak + 1]) / 2
    darker = ascending[: np.searchsorted(ascending, background, side="right")]
    spread = math.sqrt(float(np.square(darker - background).mean(dtype=np.float64))) if len(darker) else 0.0
    n_background = np.searchsorted(ascending, background + BACKGROUND_SDS * spread, side="right")
    return 100.0 * (1 - float(n_background) / len(ascending))
