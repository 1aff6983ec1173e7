"""How the pixels' values are distributed: percentiles and entropy, from the histogram."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imaging.metrics.facts import PlaneFacts
from imaging.metrics.intensity import OF_CONTAINER
from imaging.metrics.registry import CELLQC, Metric, family

PERCENTS = (0.1, 1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9)
# Neighbouring percentiles say nearly the same.
SCORED_PERCENTS = (0.1, 5, 25, 75, 99.9)


@family(
    *(
        Metric(
            name="Percentile",
            scale=f"{percent:g}",
            prefix=CELLQC,
            unit=OF_CONTAINER,
            higher_means="brighter in its dark parts"
            if percent < 50
            else "brighter in its bright parts"
            if percent > 50
            else "brighter",
            lower_means="darker in its dark parts"
            if percent < 50
            else "darker in its bright parts"
            if percent > 50
            else "darker",
            range=(0, 1),
            description=f"{percent:g} % of the pixels are darker than this.",
            source="numpy.percentile, linear",
            for_scoring=percent in SCORED_PERCENTS,
        )
        for percent in PERCENTS
    )
)
def percentiles(plane: PlaneFacts) -> Sequence[float]:
    """Percentiles of the scaled pixels (0 to 1; higher is brighter). Source: numpy's linear interpolation."""
    return [plane.percentile(percent) / plane.container_max for percent in PERCENTS]


@family(
    Metric(
        name="Entropy",
        prefix=CELLQC,
        unit="bits",
        higher_means="richer in grey values",
        lower_means="poorer in grey values",
        range=(0, 16),
        description="How evenly the pixels spread over all grey values; low in empty, dark or clipped fields.",
        source="Shannon 1948; as scikit-image's shannon_entropy",
    )
)
def entropy(plane: PlaneFacts) -> Sequence[float]:
    """Shannon's entropy of the pixel values (0 to 16 bits; higher is more varied, also by noise).

    0 for a constant plane. Source: as scikit-image's shannon_entropy.
    """
    share = plane.counts / plane.pixels.size
    return (abs(float(share @ np.log2(share))),)  # abs: of a constant plane it is -0
