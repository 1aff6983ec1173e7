"""Pixels of a field to its metrics, and the names of their columns.

`FAMILIES` (of one channel) and `PAIR_FAMILIES` (of two) are the registry: a metric added there is measured,
exported and explained everywhere. Add at the end and raise `METRIC_SET_VERSION`, because stored values are found
by position.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np

from imaging.metrics import (
    blobs,
    camera,
    channels,
    correlation,
    distribution,
    emptiness,
    intensity,
    light,
    local_focus,
    otsu,
    sharpness,
    spectrum,
    tiles,
)
from imaging.metrics.ceiling import camera_ceiling
from imaging.metrics.facts import PlaneFacts, check_plane
from imaging.metrics.registry import CELLPROFILER, CELLQC, Family, Metric, PairFamily

__all__ = [
    "CELLPROFILER",
    "CELLQC",
    "FAMILIES",
    "METRIC_SET_VERSION",
    "PAIR_FAMILIES",
    "PAIR_METRICS",
    "PLANE_METRICS",
    "Metric",
    "camera_ceiling",
    "measure_field_planes",
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
    correlation.robust_correlations,
    spectrum.robust_power_log_log_slope,
    distribution.percentiles,
    distribution.entropy,
    sharpness.gradients,
    sharpness.sharpness_without_noise,
    sharpness.coarse_sharpness,
    emptiness.emptiness,
    light.evenness_of_light,
    tiles.local_deviations,
    blobs.blobs_above_background,
    blobs.lengths_of_the_brightest,
)
PAIR_FAMILIES: tuple[PairFamily, ...] = (channels.likeness,)

PLANE_METRICS: tuple[Metric, ...] = tuple(metric for family in FAMILIES for metric in family.metrics)
PAIR_METRICS: tuple[Metric, ...] = tuple(metric for family in PAIR_FAMILIES for metric in family.metrics)


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
    return np.array(_values_of_plane(check_plane(pixels, container_max, ceiling)), np.float64)


def measure_field_planes(
    planes: Sequence[np.ndarray], container_max: Sequence[int], ceilings: Sequence[int | None]
) -> np.ndarray:
    """Values of one field in the order of `metric_columns`, float64.

    Parameters
    ----------
    planes
        One (H, W) array per channel, all of one size; see `measure_plane`.
    container_max, ceilings
        For each channel, as for `measure_plane`.

    Raises
    ------
    ValueError
        In a sentence for people, when a plane cannot be measured or the sizes differ.
    """
    if len({plane.shape for plane in planes}) > 1:
        raise ValueError(f"The channels differ in size: {', '.join(str(plane.shape) for plane in planes)}.")
    facts = [check_plane(*plane) for plane in zip(planes, container_max, ceilings, strict=True)]
    values = [value for plane in facts for value in _values_of_plane(plane)]
    for first, second in combinations(facts, 2):
        values += [value for family in PAIR_FAMILIES for value in family.measure(first, second)]
    return np.array(values, np.float64)


def _values_of_plane(plane: PlaneFacts) -> list[float]:
    return [value for family in FAMILIES for value in family.measure(plane)]


def metric_columns(channels: Sequence[str]) -> list[str]:
    """Names of the columns of a field: all metrics of the first channel, then of the next, then of each pair.

    Pairs are (1, 2), (1, 3), ..., (2, 3), ..., each with all its metrics: `CellQC_PixelCorrelation_DNA_ER`.
    """
    of_planes = [metric.column(channel) for channel in channels for metric in PLANE_METRICS]
    of_pairs = [metric.column(f"{a}_{b}") for a, b in combinations(channels, 2) for metric in PAIR_METRICS]
    return of_planes + of_pairs


def parse_column(column: str, channels: Sequence[str]) -> tuple[Metric, str]:
    """The metric and the channel, or "DNA and ER", a column is about; channel names may hold underscores.

    Raises
    ------
    ValueError
        When no metric of this set has that name for any of `channels`.
    """
    known = _meanings(tuple(channels))
    if column not in known:
        raise ValueError(f"{column} is no metric of version {METRIC_SET_VERSION} for {', '.join(channels)}.")
    return known[column]


@lru_cache(maxsize=32)  # one experiment's columns are asked for one by one
def _meanings(channels: tuple[str, ...]) -> dict[str, tuple[Metric, str]]:
    meanings = [(metric, channel) for channel in channels for metric in PLANE_METRICS]
    meanings += [(metric, f"{a} and {b}") for a, b in combinations(channels, 2) for metric in PAIR_METRICS]
    # Backwards, so that of columns with one name (a pair A, B_C beside A_B, C) the first is found.
    return dict(zip(reversed(metric_columns(channels)), reversed(meanings), strict=True))
