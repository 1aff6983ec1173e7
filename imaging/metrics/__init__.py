"""Pixels of one plane to its metrics, and the names of their columns.

`FAMILIES` is the registry: a metric added there is measured, exported and explained everywhere. Add at the
end and raise `METRIC_SET_VERSION`, because stored values are found by position.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imaging.metrics import camera, correlation, intensity, local_focus, otsu, spectrum
from imaging.metrics.ceiling import camera_ceiling
from imaging.metrics.facts import check_plane
from imaging.metrics.registry import CELLPROFILER, CELLQC, Family, Metric

__all__ = [
    "CELLPROFILER",
    "CELLQC",
    "FAMILIES",
    "METRIC_SET_VERSION",
    "PLANE_METRICS",
    "Metric",
    "camera_ceiling",
    "measure_plane",
    "metric_columns",
    "parse_column",
]

METRIC_SET_VERSION = "1"

FAMILIES: tuple[Family, ...] = (
    intensity.focus_score,
    local_focus.local_focus_scores,
    correlation.correlations,
    spectrum.power_log_log_slope,
    intensity.percent_at_extremes,
    intensity.intensities,
    intensity.setup,
    otsu.threshold_otsu,
    camera.saturation,
    camera.hot_pixel_percent,
)

PLANE_METRICS: tuple[Metric, ...] = tuple(metric for family in FAMILIES for metric in family.metrics)


def measure_plane(pixels: np.ndarray, *, container_max: int, ceiling: int | None = None) -> np.ndarray:
    """Values of one plane in the order of `PLANE_METRICS`, float64.

    Parameters
    ----------
    pixels
        (H, W), uint8 or uint16, of any size from 1 x 1.
    container_max
        Largest value of the file's pixel type (255, 65535); pixels are scaled by it to 0..1.
    ceiling
        The camera's largest value, if known, for example from the plate's maximum. Guessed from this
        plane when it is None or when a pixel lies above it.

    Raises
    ------
    ValueError
        In a sentence for people, when this is not a plane that can be measured.
    """
    plane = check_plane(pixels, container_max, ceiling)
    return np.array([value for family in FAMILIES for value in family.measure(plane)], np.float64)


def metric_columns(channels: Sequence[str]) -> list[str]:
    """Names of the columns of a field: all metrics of the first channel, then of the next."""
    return [metric.column(channel) for channel in channels for metric in PLANE_METRICS]


def parse_column(column: str, channels: Sequence[str]) -> tuple[Metric, str]:
    """The metric and the channel a column is about; channel names may hold underscores.

    Raises
    ------
    ValueError
        When no metric of this set has that name for any of `channels`.
    """
    for channel in channels:
        for metric in PLANE_METRICS:
            if metric.column(channel) == column:
                return metric, channel
    raise ValueError(f"{column} is no metric of version {METRIC_SET_VERSION} for {', '.join(channels)}.")
