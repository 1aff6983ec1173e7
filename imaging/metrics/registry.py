"""What a metric is, and how functions that measure are tied to the metrics they give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from imaging.metrics.facts import PlaneFacts

# CellProfiler's columns keep CellProfiler's conventions (undefined is 0); in ours undefined is NaN.
CELLPROFILER = "ImageQuality"
CELLQC = "CellQC"
CELLPROFILER_SOURCE = "CellProfiler 4.2.8.1, MeasureImageQuality"

Measure = Callable[[PlaneFacts], Sequence[float]]


@dataclass(frozen=True)
class Metric:
    """One number per plane, with what a scientist needs to read it.

    Attributes
    ----------
    name, prefix, scale
        Parts of the column's name; `scale` is what CellProfiler writes last (`10` pixels, `2W`).
    unit
        Unit of the value; empty for a pure number.
    higher_means, lower_means
        What a higher and a lower value say of the image, each a short phrase.
    range
        Lowest and highest possible value; infinite where nothing bounds it.
    description
        One line in plain words.
    source
        Where the formula is from.
    is_setup
        A constant of camera and file format, not of the image: scoring ignores it.
    """

    name: str
    unit: str
    higher_means: str
    lower_means: str
    range: tuple[float, float]
    description: str
    prefix: str = CELLPROFILER
    scale: int | str | None = None
    source: str = CELLPROFILER_SOURCE
    is_setup: bool = False

    @property
    def key(self) -> str:
        """The column's name without a channel, such as `ImageQuality_Correlation_10`; unique."""
        return self._join(self.prefix, self.name)

    def column(self, channel: str) -> str:
        """The column's name for a channel, such as `ImageQuality_Correlation_DNA_10`."""
        return self._join(self.prefix, self.name, channel)

    def _join(self, *parts: str) -> str:
        return "_".join(parts if self.scale is None else (*parts, str(self.scale)))


@dataclass(frozen=True)
class Family:
    """Metrics that one function measures together, because they share most of their work."""

    metrics: tuple[Metric, ...]
    measure: Measure


def family(*metrics: Metric) -> Callable[[Measure], Family]:
    """Decorate the function that returns the values of `metrics`, in that order."""

    def register(measure: Measure) -> Family:
        return Family(metrics, measure)

    return register
