"""Conditions beside the score: which images they flag, and why in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from imaging.metrics.foreign import meaning_of
from labeling.models import Experiment, ScoreRun
from labeling.problems import BadValue
from labeling.services.run_tables import RAW, Z, check_metric, metric_values, run_table, title_of

MOST_CONDITIONS = 8


@dataclass(frozen=True)
class Condition:
    """Flags images whose metric is below `low` or above `high`; one of them may be open (None).

    `unit` is `raw`, as measured, or `z`: robust standard deviations from the median of the image's plate.
    """

    column: str
    unit: str
    low: float | None
    high: float | None

    def __str__(self) -> str:
        """As it stands in an address; the column comes last, channel names may hold commas."""
        low, high = ("" if limit is None else repr(limit) for limit in (self.low, self.high))
        return f"{self.unit},{low},{high},{self.column}"

    @classmethod
    def parse(cls, text: str) -> Condition:
        parts = text.split(",", 3)
        if len(parts) != 4:
            raise BadValue(f"{text!r} is no condition; it reads unit,low,high,metric.")
        unit, low, high, column = parts
        return cls.of(column=column, unit=unit, low=low, high=high)

    @classmethod
    def of(cls, *, column: object, unit: object = RAW, low: object = None, high: object = None) -> Condition:
        """From what a person or a script gives. Raises BadValue without any limit, or with limits that cross."""
        condition = cls(str(column), str(unit), _limit(low), _limit(high))
        if condition.low is None and condition.high is None:
            raise BadValue("A condition needs a limit: say below or above which value an image is flagged.")
        if condition.low is not None and condition.high is not None and condition.low > condition.high:
            raise BadValue(
                f"Images between {condition.low:g} and {condition.high:g} are to be kept, but the first is larger."
            )
        return condition

    def as_json(self) -> dict[str, object]:
        return {"column": self.column, "unit": self.unit, "low": self.low, "high": self.high}

    def breaks(self, run_id: int) -> np.ndarray:
        """(N,) True for the rows of the run that it flags; what is undefined is never flagged."""
        values = metric_values(run_id, self.column, self.unit)
        broken = np.zeros(len(values), bool)
        if self.low is not None:
            broken |= values.astype(np.float64) < self.low
        if self.high is not None:
            broken |= values.astype(np.float64) > self.high
        return broken

    def keeps(self, run_id: int) -> np.ndarray:
        """(N,) True for the rows whose metric lies within the limits; what is undefined lies nowhere."""
        return ~self.breaks(run_id) & ~np.isnan(metric_values(run_id, self.column, self.unit))

    def breaks_at(self, run_id: int, row: int) -> float | None:
        """The image's value, when the condition flags the image of that row."""
        value = float(metric_values(run_id, self.column, self.unit)[row])
        below = self.low is not None and value < self.low
        above = self.high is not None and value > self.high
        return value if below or above else None

    def in_words(self, channels: list[str]) -> str:
        """The condition itself: `saturated > 1 % in DNA`."""
        return self._limits_in_words(channels, "<", " or ", ">")

    def within_in_words(self, channels: list[str]) -> str:
        """What it keeps: `saturated ≥ 1 % and ≤ 5 % in DNA`."""
        return self._limits_in_words(channels, "≥", " and ", "≤")

    def why(self, value: float, channels: list[str]) -> str:
        """What flagged an image with that value: `saturated 4.4 % > 1 % in DNA`."""
        metric, channel = meaning_of(self.column, tuple(channels))
        unit = _unit(metric.unit, self.unit)
        sign, limit = ("<", self.low) if self.low is not None and value < self.low else (">", self.high)
        assert limit is not None
        return f"{title_of(self.column, channels)} {value:.4g}{unit} {sign} {limit:.4g}{unit}{_in(channel)}"

    def _limits_in_words(self, channels: list[str], below: str, between: str, above: str) -> str:
        metric, channel = meaning_of(self.column, tuple(channels))
        unit = _unit(metric.unit, self.unit)
        limits = [
            f"{sign} {limit:.4g}{unit}" for sign, limit in ((below, self.low), (above, self.high)) if limit is not None
        ]
        return f"{title_of(self.column, channels)} {between.join(limits)}{_in(channel)}"


def conditions_of(given: Iterable[dict[str, object]]) -> tuple[Condition, ...]:
    """From the JSON of a stored cutoff or of a request."""
    try:
        return tuple(Condition.of(**entry) for entry in given)
    except TypeError:
        raise BadValue("A condition has a column, a unit (raw or z), and limits low and high.") from None


def check_conditions(run: ScoreRun, conditions: Sequence[Condition]) -> None:
    """Raise BadValue when there are too many, or one is about a metric the run's images do not have."""
    if len(conditions) > MOST_CONDITIONS:
        raise BadValue(f"A rule has at most {MOST_CONDITIONS} conditions beside the score.")
    seen = set()
    for condition in conditions:
        check_metric(run, condition.column, condition.unit)
        if (condition.column, condition.unit) in seen:
            raise BadValue(f"There are two conditions on {condition.column}; give one with both limits.")
        seen.add((condition.column, condition.unit))


def ids_breaking(run_id: int, conditions: Sequence[Condition]) -> list[int]:
    """The images that any of the conditions flags."""
    if not conditions:
        return []
    broken = np.logical_or.reduce([condition.breaks(run_id) for condition in conditions])
    return run_table(run_id).image_ids[broken].tolist()


class Judge:
    """Says of single images which conditions flag them. Knows the run's vectors, asks the database nothing more."""

    def __init__(self, experiment: Experiment, run_id: int, conditions: Sequence[Condition]) -> None:
        self.conditions = conditions
        self._experiment, self._run_id = experiment, run_id

    def why(self, image_id: int) -> str:
        """The conditions that flag the image, in words; empty when none does."""
        if not self.conditions:
            return ""
        row = run_table(self._run_id).row_of(image_id)
        if row is None:
            return ""
        broken = [(one, one.breaks_at(self._run_id, row)) for one in self.conditions]
        return ", ".join(one.why(value, self._channels) for one, value in broken if value is not None)

    @cached_property
    def _channels(self) -> list[str]:
        return [channel.name for channel in self._experiment.channels.all()]


def _limit(value: object) -> float | None:
    if value is None or value == "":
        return None
    try:
        number = float(str(value).strip().replace("−", "-"))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadValue(f"The limit {value!r} is not a number.")
    return number


def _in(channel: str) -> str:
    return f" in {channel}" if channel else ""


def _unit(of_metric: str, unit: str) -> str:
    if unit == Z:
        return " robust SD"
    return " %" if of_metric == "%" else ""
