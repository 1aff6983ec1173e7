"""How the values of a run lie, drawn so that few bad images are seen beside many good ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

BINS = 160
WIDTH, HEIGHT = 1000, 100  # of the drawing, in its own units


@dataclass(frozen=True)
class Scale:
    """From values to places on the axis. It spans the data.

    Scores lie evenly. Metrics have long tails, so their axis is stretched around the median (`centre`) by an
    inverse hyperbolic sine: even within a few `spread`, by powers of ten beyond.
    """

    low: float
    high: float
    centre: float = 0.0
    spread: float = 0.0  # 0: even

    @classmethod
    def even(cls, values: np.ndarray) -> Scale:
        return cls(*_span(values))

    @classmethod
    def stretched(cls, values: np.ndarray) -> Scale:
        defined = values[~np.isnan(values)].astype(np.float64)
        if not len(defined):
            return cls(0.0, 1.0)
        centre = float(np.median(defined))
        spread = float(np.median(np.abs(defined - centre))) * 3 or float(np.abs(defined - centre).mean())
        return cls(*_span(defined), centre, spread)

    def at(self, value: float | np.ndarray) -> np.ndarray:
        """Place on the axis, 0 to WIDTH."""
        low, high = self._bent(self.low), self._bent(self.high)
        return WIDTH * np.clip((self._bent(value) - low) / ((high - low) or 1), 0, 1)

    def _bent(self, value: float | np.ndarray) -> np.ndarray:
        value = np.asarray(value, np.float64)
        return np.arcsinh((value - self.centre) / self.spread) if self.spread else value

    def edges(self) -> np.ndarray:
        """(BINS + 1,) values between the bars."""
        bent = np.linspace(self._bent(self.low), self._bent(self.high), BINS + 1)
        values = self.centre + self.spread * np.sinh(bent) if self.spread else bent
        values[0], values[-1] = self.low, self.high  # to the bit, or the last image falls off the end
        return np.maximum.accumulate(values)


@dataclass(frozen=True)
class Bar:
    """One bar, in the units of the drawing."""

    x: float
    y: float
    width: float
    height: float
    count: int
    low: float
    high: float


def bars_of(values: np.ndarray, scale: Scale) -> list[Bar]:
    """The bars that are not empty. Heights grow with the square root, so that three bad images are still seen."""
    edges = scale.edges()
    counts, _ = np.histogram(values[~np.isnan(values)].astype(np.float64), bins=edges)
    tallest, width = max(int(counts.max()), 1), WIDTH / BINS
    heights = [HEIGHT * math.sqrt(count / tallest) for count in counts.tolist()]
    return [
        Bar(n * width, HEIGHT - height, width, height, count, low, high)
        for n, (count, height, low, high) in enumerate(
            zip(counts.tolist(), heights, edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        )
        if count
    ]


def _span(values: np.ndarray) -> tuple[float, float]:
    """Smallest and largest, told apart even where all are alike (as numpy's histogram does)."""
    low, high = float(values.min()), float(values.max())
    return (low, high) if low < high else (low - 0.5, high + 0.5)
