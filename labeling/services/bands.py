"""Which images people see for a cutoff: the bad, the good and the best, each from its own end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from imaging.measure import COMPOSITE
from labeling.models import Image, Label, Score, ScoreRun
from labeling.problems import BadValue
from labeling.services.scores import scores_of

BEST_SHARE = 0.07  # of the kept images, from the top


@dataclass(frozen=True)
class Tile:
    """One image of a band with what its caption says."""

    image: Image
    score: float | None
    label: Label | None
    flagged: bool | None = None
    # What sets it apart on its plate, where there is no picture to see it by.
    words: Sequence[str] = ()


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
    """Which scores a band holds, [low, high), and from which end it is shown."""

    name: str
    title: str
    order: str
    low: float | None
    high: float | None
    ascending: bool


def rules_for(run: ScoreRun, cutoff: float, saved: float | None) -> dict[str, BandRule]:
    """The bands of a cutoff; `changes` only while it differs from the saved one."""
    best_from = best_start(run, cutoff)
    rules = [
        BandRule("bad", "Bad", "worst first", None, cutoff, True),
        BandRule("good", "Good", "nearest the cutoff first", cutoff, best_from, True),
        BandRule("best", "Best", "best first", best_from, None, False),
    ]
    if saved is not None and saved < cutoff:
        rules.insert(0, BandRule("changes", "Would fall out", "worst first", saved, cutoff, True))
    elif saved is not None and cutoff < saved:
        rules.insert(0, BandRule("changes", "Would come back", "worst first", cutoff, saved, True))
    return {rule.name: rule for rule in rules}


def best_start(run: ScoreRun, cutoff: float) -> float:
    """The score the best band begins at: the top 7 % of what is kept, and never below the cutoff."""
    scores = scores_of(run.pk)
    n_kept = len(scores.ascending) - scores.n_below(cutoff)
    n_best = round(n_kept * BEST_SHARE)
    if not n_best:
        return float("inf")
    return float(scores.ascending[-n_best])


def read_band(run: ScoreRun, rule: BandRule, cutoff: float, *, limit: int, after: Position | None = None) -> Band:
    """A page of a band, found by the index on (run, score): the same speed on page 1 and page 1,000."""
    rows = list(_page(run, rule, limit + 1, after).select_related("image__plate", "image__well"))
    more, rows = len(rows) > limit, rows[:limit]
    labels = Label.objects.on([row.image_id for row in rows])
    tiles = [Tile(row.image, row.score, labels.get(row.image_id), row.score < cutoff) for row in rows]
    end = Position(rows[-1].score, rows[-1].image_id) if more else None
    return Band(rule.name, rule.title, rule.order, _size(run, rule), tiles, end)


def _size(run: ScoreRun, rule: BandRule) -> int:
    scores = scores_of(run.pk)
    upper = len(scores.ascending) if rule.high is None else scores.n_below(rule.high)
    return upper - (0 if rule.low is None else scores.n_below(rule.low))


def _page(run: ScoreRun, rule: BandRule, limit: int, after: Position | None) -> QuerySet[Score]:
    """Rows of one page. Equal scores are told apart by image id, so that none is shown twice or left out."""
    scores = Score.objects.filter(run=run)
    if rule.low is not None:
        scores = scores.filter(score__gte=rule.low)
    if rule.high is not None and rule.high != float("inf"):
        scores = scores.filter(score__lt=rule.high)
    if rule.ascending:
        if after:
            scores = scores.filter(score__gte=after.score).exclude(score=after.score, image__lte=after.image_id)
        return scores.order_by("score", "image_id")[:limit]
    if after:
        scores = scores.filter(score__lte=after.score).exclude(score=after.score, image__gte=after.image_id)
    return scores.order_by("-score", "-image_id")[:limit]


def views_of(channels: Sequence[object]) -> list[tuple[str, str]]:
    """(view, name) of each thumbnail an image has: the composite first, then its channels."""
    singles = [(str(channel.position), channel.name) for channel in channels]
    return singles if len(singles) == 1 else [(COMPOSITE, "Colour"), *singles]
