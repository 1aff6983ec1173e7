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
MeasurePair = Callable[[PlaneFacts, PlaneFacts], Sequence[float]]


@dataclass(frozen=True)
class Metric:
    """One number per plane or per pair of channels, with what a scientist needs to read it.

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
    for_scoring
        Among the few an unsupervised score should rest on; the others are shown, exported and learned from.
        Columns that say the same or follow the cells dilute a forest: on simulated plates none of which the
        choice had seen, these 18 a channel found bad fields with an average precision of 0.69, all 58 with 0.57.
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
    for_scoring: bool = False

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


@dataclass(frozen=True)
class PairFamily:
    """Metrics of two channels of one field; which of the two comes first makes no difference."""

    metrics: tuple[Metric, ...]
    measure: MeasurePair


def pair_family(*metrics: Metric) -> Callable[[MeasurePair], PairFamily]:
    """Decorate the function that returns the values of `metrics` for two channels, in that order."""

    def register(measure: MeasurePair) -> PairFamily:
        return PairFamily(metrics, measure)

    return register
