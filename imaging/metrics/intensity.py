"""Statistics of intensity, all from one histogram."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from imaging.metrics.facts import PlaneFacts
from imaging.metrics.registry import Metric, family

OF_CONTAINER = "share of the file's maximum"


@family(
    Metric(
        name="FocusScore",
        unit="",
        higher_means="sharper",
        lower_means="blurrier",
        range=(0, 1),
        description="Variance of the pixels over their mean. Finds only extreme blur, and shifts with a camera offset.",
    )
)
def focus_score(plane: PlaneFacts) -> Sequence[float]:
    """Variance over mean of the scaled pixels (0 to 1; higher is sharper). 0 for an all-zero plane.

    Depends on the scale factor and the camera's offset. Source: CellProfiler's FocusScore.
    """
    return (plane.variance / plane.mean if plane.mean > 0 else 0.0,)


@family(
    Metric(
        name="PercentMaximal",
        unit="%",
        higher_means="more saturated",
        lower_means="less saturated",
        range=(0, 100),
        description="Pixels equal to the plane's own maximum. One hot pixel hides real saturation.",
    ),
    Metric(
        name="PercentMinimal",
        unit="%",
        higher_means="more clipped to dark",
        lower_means="less clipped to dark",
        range=(0, 100),
        description="Pixels equal to the plane's own minimum.",
    ),
)
def percent_at_extremes(plane: PlaneFacts) -> Sequence[float]:
    """Percent of pixels equal to the plane's maximum and minimum (above 0 to 100; higher is more clipped).

    100 for a constant plane. Source: CellProfiler's PercentMaximal and PercentMinimal.
    """
    return (
        100.0 * float(plane.counts[-1]) / plane.pixels.size,
        100.0 * float(plane.counts[0]) / plane.pixels.size,
    )


@family(
    Metric(
        name="TotalIntensity",
        unit=f"{OF_CONTAINER}, summed over pixels",
        higher_means="brighter or larger",
        lower_means="darker or smaller",
        range=(0, math.inf),
        description="Sum of all pixels.",
    ),
    Metric(
        name="MeanIntensity",
        unit=OF_CONTAINER,
        higher_means="brighter",
        lower_means="darker",
        range=(0, 1),
        description="Mean of all pixels.",
    ),
    Metric(
        name="MedianIntensity",
        unit=OF_CONTAINER,
        higher_means="brighter background or fuller field",
        lower_means="darker background or emptier field",
        range=(0, 1),
        description="Median of all pixels; in a sparse field it is the background.",
    ),
    Metric(
        name="StdIntensity",
        unit=OF_CONTAINER,
        higher_means="more contrast",
        lower_means="flatter",
        range=(0, 0.5),
        description="Standard deviation of the pixels.",
    ),
    Metric(
        name="MADIntensity",
        unit=OF_CONTAINER,
        higher_means="more contrast in most of the field",
        lower_means="flatter or emptier",
        range=(0, 0.5),
        description="Median distance of the pixels from their median; a few bright objects do not change it.",
    ),
    Metric(
        name="MinIntensity",
        unit=OF_CONTAINER,
        higher_means="brighter darkest pixel",
        lower_means="darker darkest pixel",
        range=(0, 1),
        description="Darkest pixel.",
    ),
    Metric(
        name="MaxIntensity",
        unit=OF_CONTAINER,
        higher_means="brighter brightest pixel",
        lower_means="darker brightest pixel",
        range=(0, 1),
        description="Brightest pixel.",
    ),
)
def intensities(plane: PlaneFacts) -> Sequence[float]:
    """Total, mean, median, SD, MAD, minimum and maximum of the scaled pixels (higher is brighter or varied).

    Population SD; MAD without the factor 1.4826. Source: CellProfiler's intensity measurements.
    """
    levels, counts = plane.scaled_levels, plane.counts
    median = median_of_counted(levels, counts)
    distances = np.abs(levels - median)
    # Falling, then rising: a stable sort merges the two runs, and 65,536 values cost as much as reading them.
    nearest_first = np.argsort(distances, kind="stable")
    return (
        plane.total,
        plane.mean,
        float(median),
        math.sqrt(plane.variance),
        float(median_of_counted(distances[nearest_first], counts[nearest_first])),
        float(levels[0]),
        float(levels[-1]),
    )


@family(
    Metric(
        name="TotalArea",
        unit="pixels",
        higher_means="larger image",
        lower_means="smaller image",
        range=(1, math.inf),
        description="Number of pixels.",
        is_setup=True,
    ),
    Metric(
        name="Scaling",
        unit="",
        higher_means="file type with more bits",
        lower_means="file type with fewer bits",
        range=(1, math.inf),
        description="What pixel values were divided by: 255 for 8-bit files, 65535 for 16-bit files.",
        is_setup=True,
    ),
)
def setup(plane: PlaneFacts) -> Sequence[float]:
    """Number of pixels and the scale factor (1 and above; say nothing of quality). Source: CellProfiler."""
    return float(plane.pixels.size), float(plane.container_max)


def median_of_counted(values: np.ndarray, counts: np.ndarray) -> np.float32:
    """Median of ascending float32 `values` that occur `counts` times, rounded as numpy's on the pixels."""
    reached = np.cumsum(counts)
    lower, upper = (reached[-1] - 1) // 2, reached[-1] // 2
    middle = values[np.searchsorted(reached, (lower, upper), side="right")]
    return np.float32((middle[0] + middle[1]) / np.float32(2))
