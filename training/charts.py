"""The plots of a model's report, as coordinates that a template draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

LEFT, TOP, WIDTH, HEIGHT = 44, 8, 264, 176  # of the plotting field, in units of the drawing
SERIES = (("ours", "this way of asking"), ("random", "random labels"), ("forest", "without labels"))
Points = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Line:
    """A polyline: `points` as SVG wants them, `kind` names its style."""

    kind: str
    name: str
    points: str


@dataclass(frozen=True)
class Mark:
    """A dot with its 95 % interval, and what it says when pointed at."""

    x: float
    y: float
    low: float
    high: float
    text: str


@dataclass(frozen=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True)
class Chart:
    """One plot with words for people who do not read such plots every day."""

    title: str
    x: str
    y: str
    meaning: str
    lines: Sequence[Line] = ()
    marks: Sequence[Mark] = ()
    x_ticks: Sequence[Tick] = ()
    y_ticks: Sequence[Tick] = ()


def charts_of(report: dict[str, Any]) -> list[Chart]:
    """Those plots the report has numbers for: precision and recall, ROC, calibration, learning curve."""
    curves = report.get("curves") or {}
    charts = []
    if points := curves.get("precision_recall"):
        charts.append(
            Chart(
                "Found and false alarms",
                "bad images found",
                "of those flagged, really bad",
                "The higher the line stays to the right, the fewer good images are lost for each bad one found.",
                [Line("ours", "", _points(points))],
                **_ticks(),
            )
        )
    if points := curves.get("roc"):
        charts.append(
            Chart(
                "Found and lost",
                "good images lost",
                "bad images found",
                "The dashed line is guessing; a good model rises at once.",
                [Line("guess", "", _points([[0, 0], [1, 1]])), Line("ours", "", _points(points))],
                **_ticks(),
            )
        )
    if bins := report.get("calibration"):
        charts.append(_calibration(bins))
    if steps := report.get("learning_curve"):
        charts.append(_learning(steps))
    return charts


def _calibration(bins: list[dict[str, Any]]) -> Chart:
    known = [one for one in bins if one.get("n") and one.get("found") is not None]
    marks = [
        Mark(
            _x(one["predicted"]),
            _y(one["found"]),
            _y(one["low"] if one.get("low") is not None else one["found"]),
            _y(one["high"] if one.get("high") is not None else one["found"]),
            f"{one['n']} images said to be bad with {100 * one['predicted']:.0f} %: {100 * one['found']:.0f} % were",
        )
        for one in known
    ]
    return Chart(
        "Is a probability what it says?",
        "said to be bad",
        "were bad",
        "Dots on the dashed line: of images said to be bad with 30 %, 30 % are. Bars are 95 % intervals.",
        [Line("guess", "", _points([[0, 0], [1, 1]]))],
        marks,
        **_ticks(),
    )


def _learning(steps: list[dict[str, Any]]) -> Chart:
    most = max(max(step["labels"] for step in steps), 1)
    lines = []
    for kind, name in SERIES:
        known = [[step["labels"] / most, step[kind]] for step in steps if step.get(kind) is not None]
        if known:
            lines.append(Line(kind, name, _points(known)))
    ticks = _ticks()
    ticks["x_ticks"] = [Tick(_x(share), f"{share * most:.0f}") for share in (0, 0.5, 1)]
    return Chart(
        "What more labels bring",
        "labels given",
        "average precision on the rest",
        "Where the line has become flat, more labels of the same kind will change little.",
        lines,
        **ticks,
    )


def _ticks() -> dict[str, Any]:
    shares = (0, 0.25, 0.5, 0.75, 1)
    return {
        "x_ticks": [Tick(_x(share), f"{100 * share:.0f} %") for share in shares],
        "y_ticks": [Tick(_y(share), f"{100 * share:.0f} %") for share in shares],
    }


def _points(points: Points) -> str:
    return " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points)


def _x(share: float) -> float:
    return round(LEFT + WIDTH * min(max(share, 0), 1), 1)


def _y(share: float) -> float:
    return round(TOP + HEIGHT * (1 - min(max(share, 0), 1)), 1)
