"""What columns say that other software measured: by the registry where it knows the metric, else by their name."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from imaging.metrics import CELLPROFILER, CELLQC, PAIR_METRICS, PLANE_METRICS, Metric, parse_column

FOREIGN = (f"{CELLPROFILER}_", f"{CELLQC}_")
PAIR_NAMES = {metric.name for metric in PAIR_METRICS}
BY_KEY = {metric.key: metric for metric in PLANE_METRICS}
KNOWN = {(metric.prefix, metric.name): metric for metric in reversed(PLANE_METRICS)}
# Longest first: PercentMaximal is not a Percent of the channel Maximal.
NAMES = "|".join(sorted((re.escape(name) for _, name in KNOWN), key=len, reverse=True))
COLUMN = re.compile(rf"(?P<prefix>{CELLPROFILER}|{CELLQC})_(?P<name>{NAMES})_(?P<rest>.+)")


@lru_cache(maxsize=4096)
def meaning_of(column: str, channels: tuple[str, ...]) -> tuple[Metric, str]:
    """The metric a column holds and the channel, or channels, it is about; empty when nothing tells.

    Knows the registry's columns, those of other scales (`ImageQuality_Correlation_DNA_50`) and of channels the
    experiment does not have. Any other column is a metric of its own, called by its name, with no unit.
    """
    try:
        return parse_column(column, channels)
    except ValueError:
        pass
    found = COLUMN.fullmatch(column)
    if found is not None:
        metric, rest = KNOWN[found["prefix"], found["name"]], found["rest"]
        if metric.scale is None:
            return metric, rest
        channel, _, scale = rest.rpartition("_")
        if channel:
            return BY_KEY.get(f"{metric.prefix}_{metric.name}_{scale}") or replace(
                metric, scale=scale, for_scoring=False
            ), channel
    return _unknown(column), ""


def columns_for_scoring(columns: Sequence[str], channels: Sequence[str]) -> list[int]:
    """Positions of the columns an unsupervised score should rest on.

    Those the registry chose; in a set with none of them, as every set of CellProfiler's, all that are no set-up.
    """
    metrics = [meaning_of(column, tuple(channels))[0] for column in columns]
    chosen = [n for n, metric in enumerate(metrics) if metric.for_scoring]
    return chosen or [n for n, metric in enumerate(metrics) if not metric.is_setup]


def title_of(metric: Metric) -> str:
    """The metric's name for people: `Correlation at 20`."""
    return metric.key.removeprefix(f"{metric.prefix}_").replace("_", " at ") if metric.prefix else metric.name


def channel_of_column(column: str) -> str:
    """The channel a column of MeasureImageQuality or cellqc is about; empty for pairs and other columns."""
    if any(column.startswith(f"{CELLQC}_{name}_") for name in PAIR_NAMES):
        return ""
    metric, channel = meaning_of(column, ())
    return channel if metric.prefix else ""


def _unknown(column: str) -> Metric:
    return Metric(
        name=column,
        unit="",
        higher_means="higher",
        lower_means="lower",
        range=(-math.inf, math.inf),
        description="Computed by other software; cellqc does not know it.",
        prefix="",
        source="",
    )
