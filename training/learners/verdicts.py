"""Verdicts of several people on an image become one, with a weight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

GOOD, BAD, UNSURE = "good", "bad", "unsure"
VERDICTS = (GOOD, BAD, UNSURE)


@dataclass(frozen=True)
class Vote:
    """The newest verdict of one person on one image: `good`, `bad` or `unsure`."""

    row: int
    person: int
    verdict: str


@dataclass(frozen=True)
class Verdicts:
    """What people say of the labelled images, one entry an image, in the order the images were first labelled.

    Attributes
    ----------
    rows
        (L,) int64, positions in the feature table of images that are good or bad.
    is_good
        (L,) bool.
    weights
        (L,) float64 in (0, 1]: 1 when all agree, less the closer the vote.
    disagreement
        (L,) float64, 0 (all agree) to 1 (a tie).
    unsure_rows
        (U,) int64, images nobody could decide: only `unsure`, or a tie. They train nothing and are not asked again.
    unsure_disagreement
        (U,) float64: 1 for a tie, 0 where everybody is unsure.
    """

    rows: np.ndarray
    is_good: np.ndarray
    weights: np.ndarray
    disagreement: np.ndarray
    unsure_rows: np.ndarray
    unsure_disagreement: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        if len(self.unsure_disagreement) != len(self.unsure_rows):
            object.__setattr__(self, "unsure_disagreement", np.zeros(len(self.unsure_rows)))

    @property
    def n_good(self) -> int:
        return int(self.is_good.sum())

    @property
    def n_bad(self) -> int:
        return int((~self.is_good).sum())

    @property
    def seen_rows(self) -> np.ndarray:
        """All rows somebody has looked at, (L + U,)."""
        return np.concatenate([self.rows, self.unsure_rows])

    def take(self, which: np.ndarray) -> Self:
        """Only the entries `which` (indices or a mask over L); the unsure ones stay."""
        return type(self)(
            self.rows[which],
            self.is_good[which],
            self.weights[which],
            self.disagreement[which],
            self.unsure_rows,
            self.unsure_disagreement,
        )


def verdicts_of(rows: np.ndarray, is_good: np.ndarray, unsure_rows: np.ndarray | None = None) -> Verdicts:
    """Verdicts of one person who never contradicts herself: full weight, no disagreement."""
    unsure = np.zeros(0, np.int64) if unsure_rows is None else np.asarray(unsure_rows, np.int64)
    n = len(rows)
    return Verdicts(np.asarray(rows, np.int64), np.asarray(is_good, bool), np.ones(n), np.zeros(n), unsure)


def resolve_votes(votes: Sequence[Vote]) -> Verdicts:
    """One verdict an image, by majority of `good` against `bad`.

    The weight is the margin of the majority over everybody who was asked, someone unsure counting half: 1 for
    agreement, 1/3 for two against one. A tie counts as unsure with full disagreement. Order of `votes` is kept: pass
    them in the order of time, so that learning curves can follow it. Whoever votes twice on an image counts once, by
    the later vote.

    Raises ValueError for a word that is no verdict.
    """
    newest: dict[int, dict[int, str]] = {}
    for vote in votes:
        if vote.verdict not in VERDICTS:
            raise ValueError(f"{vote.verdict!r} is no verdict; use {', '.join(VERDICTS)}.")
        newest.setdefault(vote.row, {})[vote.person] = vote.verdict
    decided, unsure = [], []
    for row, said in newest.items():
        count = Counter(said.values())
        margin, n_decided = abs(count[GOOD] - count[BAD]), count[GOOD] + count[BAD]
        if margin == 0:
            unsure.append((row, 1.0 if n_decided else 0.0))
            continue
        weight = margin / (n_decided + 0.5 * count[UNSURE])
        decided.append((row, count[GOOD] > count[BAD], weight, 1 - margin / len(said)))
    return Verdicts(
        rows=np.array([entry[0] for entry in decided], np.int64),
        is_good=np.array([entry[1] for entry in decided], bool),
        weights=np.array([entry[2] for entry in decided], np.float64),
        disagreement=np.array([entry[3] for entry in decided], np.float64),
        unsure_rows=np.array([entry[0] for entry in unsure], np.int64),
        unsure_disagreement=np.array([entry[1] for entry in unsure], np.float64),
    )
