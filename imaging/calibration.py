"""What a sample of fields, and later the measured values, tell about a channel: its camera's ceiling.

Whoever measures does the same: sample `spread` fields, assume the ceiling they show, measure, and when a measured plane
lies above it (`ceiling_of_shares`) assume the higher one and measure again what was called saturated under the lower.
Where nothing reached the lower ceiling nothing reaches the higher one: those fields keep their values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from imaging.measure import ceiling_of_channel
from imaging.metrics import PLANE_METRICS
from imaging.previews import PlaneSample

Thing = TypeVar("Thing")
SAMPLED_FIELDS = 36
METRICS = {metric.key: metric for metric in PLANE_METRICS}
SATURATED = METRICS["CellQC_SaturatedPercent"]
EXTREMES = METRICS["ImageQuality_MinIntensity"], METRICS["ImageQuality_MaxIntensity"]


def spread(things: Sequence[Thing], most: int) -> Sequence[Thing]:
    """About `most` of them, evenly spread."""
    step = max(1, len(things) // most)
    return things[::step][:most]


def by_channel(fields: Iterable[dict[str, PlaneSample]]) -> dict[str, list[PlaneSample]]:
    """The samples of fields, by channel."""
    samples: dict[str, list[PlaneSample]] = {}
    for field in fields:
        for name, sample in field.items():
            samples.setdefault(name, []).append(sample)
    return samples


def ceiling_of_samples(samples: Iterable[PlaneSample], container_max: int) -> int:
    """The camera's ceiling as sampled planes of one channel show it."""
    return ceiling_of_channel(((sample.smallest, sample.largest) for sample in samples), container_max)


def ceiling_of_shares(shares: Iterable[tuple[float, float]], container_max: int) -> int:
    """The camera's ceiling as measured planes of one channel show it.

    `shares` are their smallest and largest values (`EXTREMES`), 0 to 1, as shares of `container_max`.
    """
    extremes = ((round(low * container_max), round(high * container_max)) for low, high in shares)
    return ceiling_of_channel(extremes, container_max)


def container_max_of(bit_depth: int) -> int:
    """The largest value a file of 8 or 16 bits can hold."""
    return int(2**bit_depth) - 1
