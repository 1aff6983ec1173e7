"""Which images people see for a cutoff: the bad, the good and the best, each from its own end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from imaging.measure import COMPOSITE
from labeling.models import Image, ImageReason, Label, ScoreRun
from labeling.problems import BadValue
from labeling.services.cutoffs import CutoffChoice, flagged_rows
from labeling.services.reasons import in_a_sentence, reasons_of
from labeling.services.rules import Condition
from labeling.services.run_tables import metric_values, run_table
from labeling.services.scores import scores_of

BEST_SHARE = 0.07  # of the kept images, from the top
UNDEFINED = 1e300  # where a metric is undefined: behind all others, and never best


@dataclass(frozen=True)
class Tile:
    """One image of a band with what its caption says."""

    image: Image
    score: float | None
    label: Label | None
    flagged: bool | None = None
    # The metric that is looked at, where it is not the score.
    metric: float | None = None
    # What sets it apart on its plate, where there is no picture to see it by.
    words: Sequence[str] = ()
    # What speaks against it, the strongest first, where it was explained.
    reasons: Sequence[ImageReason] = ()

    @property
    def why(self) -> str:
        return in_a_sentence(self.reasons)


@dataclass(frozen=True)
class Position:
    """Where a page of a band ends: the next one starts behind this score and image."""

    score: float
    image_id: int

    def __str__(self) -> str:
        return f"{self.score!r},{self.image_id}"

    @classmethod
    def parse(cls, text: str) -> Position:
        score, _, image_id = text.partition(",")
        try:
            position = cls(float(score), int(image_id))
        except ValueError:
            position = cls(math.nan, 0)
        if not math.isfinite(position.score) or not 0 <= position.image_id < 2**63:
            raise BadValue(f"{text!r} is no position in a band; reload the page.")
        return position


@dataclass(frozen=True)
class Axis:
    """What the images of a run are lined up by: the score (`condition` None), or how well a metric keeps its limits."""

    run: ScoreRun
    condition: Condition | None = None

    @property
    def goodness(self) -> np.ndarray:
        """(N,) higher is better; UNDEFINED where the metric is."""
        if self.condition is None:
            return scores_of(self.run.pk).ascending
        return _margins(self.run.pk, self.condition)

    @property
    def order(self) -> np.ndarray:
        """All rows of the run, the worst first, ties by image."""
        if self.condition is None:
            return np.arange(len(scores_of(self.run.pk).ascending))
        return np.lexsort((run_table(self.run.pk).image_ids, self.goodness))

    @property
    def metric(self) -> np.ndarray | None:
        """(N,) what tiles show beside the score."""
        if self.condition is None:
            return None
        return metric_values(self.run.pk, self.condition.column, self.condition.unit)


@dataclass(frozen=True)
class Band:
    """A strip of tiles: so many in all, these of them, and where to go on."""

    name: str
    title: str
    order: str
    total: int
    tiles: Sequence[Tile]
    next: Position | None


@dataclass(frozen=True)
class BandRule:
    """Which rows of the run a band holds, in the order it shows them."""

    name: str
    title: str
    order: str
    rows: np.ndarray
    ascending: bool = True


def rules_for(
    run: ScoreRun, choice: CutoffChoice, saved: CutoffChoice | None, axis: Axis | None = None
) -> dict[str, BandRule]:
    """The bands of a choice; what would fall out or come back only where it differs from the saved one."""
    axis = axis or Axis(run)
    order, flagged = axis.order, flagged_rows(run, choice)
    bad, kept = order[flagged[order]], order[~flagged[order]]
    n_best = round(len(kept) * BEST_SHARE)
    defined = kept[axis.goodness[kept] < UNDEFINED]
    best = defined[len(defined) - n_best :] if n_best else defined[:0]
    is_best = np.zeros(len(order), bool)
    # A score shared with the first of the best is best as well: no value lies in two bands.
    if len(best):
        best = defined[axis.goodness[defined] >= axis.goodness[best[0]]]
    is_best[best] = True
    rules = [
        BandRule("bad", "Bad", "worst first", bad),
        BandRule("good", "Good", "nearest the cutoff first", kept[~is_best[kept]]),
        BandRule("best", "Best", "best first", best[::-1], ascending=False),
    ]
    if saved is not None:
        was = flagged_rows(run, saved)
        rules = [
            BandRule("out", "Would fall out", "worst first", order[(flagged & ~was)[order]]),
            BandRule("back", "Would come back", "worst first", order[(was & ~flagged)[order]]),
            *rules,
        ]
    return {rule.name: rule for rule in rules if len(rule.rows) or rule.name not in ("out", "back")}


def read_band(axis: Axis, rule: BandRule, flagged: np.ndarray, *, limit: int, after: Position | None = None) -> Band:
    """A page of a band: the same speed on page 1 and page 1,000."""
    return read_bands(axis, [rule], flagged, limit=limit, after=after)[0]


def read_bands(
    axis: Axis, rules: Sequence[BandRule], flagged: np.ndarray, *, limit: int, after: Position | None = None
) -> list[Band]:
    """The same page of several bands, with three queries for all of them together."""
    starts = [_start(axis, rule, after) if after else 0 for rule in rules]
    pages = [rule.rows[start : start + limit] for rule, start in zip(rules, starts, strict=True)]
    tiles = iter(tiles_of_rows(axis, np.concatenate(pages), flagged))
    bands = []
    for rule, start, rows in zip(rules, starts, pages, strict=True):
        shown = [next(tiles) for _ in rows]
        more = start + limit < len(rule.rows)
        end = Position(float(axis.goodness[rows[-1]]), shown[-1].image.pk) if more else None
        bands.append(Band(rule.name, rule.title, rule.order, len(rule.rows), shown, end))
    return bands


def tiles_of_rows(axis: Axis, rows: np.ndarray, flagged: np.ndarray) -> list[Tile]:
    """The tiles of some rows of a run, in their order. `flagged` (N,) is over all rows."""
    return tiles_of_images(
        axis.run,
        run_table(axis.run.pk).image_ids[rows],
        scores_of(axis.run.pk).ascending[rows],
        flagged[rows],
        None if axis.metric is None else axis.metric[rows],
    )


def tiles_of_images(
    run: ScoreRun | None,
    image_ids: np.ndarray,
    scores: np.ndarray,
    flagged: np.ndarray | None,
    metric: np.ndarray | None = None,
) -> list[Tile]:
    """Tiles of images (n,) in this order, with three queries; score, side and metric where they are known.

    A score that is NaN is none, and such an image lies on no side; so does any without `flagged`.
    """
    ids = image_ids.tolist()
    images, labels, reasons = Image.objects.with_place().in_bulk(ids), Label.objects.on(ids), reasons_of([run], ids)
    is_scored = ~np.isnan(scores)
    return [
        Tile(
            images[pk],
            float(scores[n]) if is_scored[n] else None,
            labels.get(pk),
            bool(flagged[n]) if flagged is not None and is_scored[n] else None,
            None if metric is None else float(metric[n]),
            reasons=reasons.get(pk, ()),
        )
        for n, pk in enumerate(ids)
    ]


def _start(axis: Axis, rule: BandRule, after: Position) -> int:
    """How many rows of the band do not lie behind a position."""
    keys, ids = axis.goodness[rule.rows], run_table(axis.run.pk).image_ids[rule.rows]
    if rule.ascending:
        behind = (keys > after.score) | ((keys == after.score) & (ids > after.image_id))
    else:
        behind = (keys < after.score) | ((keys == after.score) & (ids < after.image_id))
    return len(keys) - int(behind.sum())


@lru_cache(maxsize=8)  # the bands of one drag ask again and again
def _margins(run_id: int, condition: Condition) -> np.ndarray:
    """(N,) how far each value lies within the nearer limit, negative outside of it.

    Without limits, how near it lies to the median: both ends of the data come first.
    """
    values = metric_values(run_id, condition.column, condition.unit).astype(np.float64)
    if np.isnan(values).all():
        return np.full(len(values), UNDEFINED)
    margin = np.full(len(values), UNDEFINED)
    if condition.low is None and condition.high is None:
        margin = -np.abs(values - np.nanmedian(values))
    if condition.low is not None:
        margin = np.minimum(margin, values - condition.low)
    if condition.high is not None:
        margin = np.minimum(margin, condition.high - values)
    return np.where(np.isnan(values), UNDEFINED, margin)


def views_of(channels: Sequence[object]) -> list[tuple[str, str]]:
    """(view, name) of each thumbnail an image has: the composite first, then its channels."""
    singles = [(str(channel.position), channel.name) for channel in channels]
    return singles if len(singles) == 1 else [(COMPOSITE, "Colour"), *singles]
