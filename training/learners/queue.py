"""Which images to show next: uncertain, unlike each other, useful, and some drawn blindly to measure by.

Four ways of asking share a batch. *Spread* covers regions of the feature space nobody has looked at; *suspect* takes
what is most probably bad; *uncertain* what could be either; *random* is drawn blindly. How many places each gets
follows from the answers so far: while the forest's suspects turn out bad it is believed, and when they turn out good
its places go to the spread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from training.learners.blend import Prediction, forest_alone, forest_scale
from training.learners.verdicts import Verdicts

RANDOM_SHARE = 0.1
# With fewer candidates of each kind some are missed, with more a request is slower: 50 ms is all there is.
MOST_CANDIDATES = 400
# The forest's word before anybody answered, as if it had been right twice in four times.
BELIEF_RIGHT, BELIEF_WRONG = 2.0, 2.0
SUSPECT = 0.3
ENOUGH_FOR_SCALE = 10_000
# Probability of bad at which a look is worth most: at first, and when many bad ones are known.
DOUBTED_AT_FIRST, DOUBTED_LATER = 0.35, 0.15
SPREAD, SUSPECTS, UNCERTAIN, RANDOM = "spread", "suspect", "uncertain", "random"
DRAWN_BLINDLY = "Drawn blindly, so that what is measured is honest."


@dataclass(frozen=True)
class Choice:
    """An image to label. `row` is its place in the feature table, `why` a sentence; `is_random` marks the share that
    is drawn blindly, on which alone a model can be measured honestly."""

    row: int
    why: str
    is_random: bool


def choose_next(
    features: np.ndarray,
    isolation: np.ndarray,
    wells: np.ndarray,
    *,
    verdicts: Verdicts,
    prediction: Prediction | None,
    limit: int,
    random_state: int,
    cutoff: float | None,
) -> list[Choice]:
    """The next images to label, best first. Works before the first label; never shows a labelled image.

    Parameters
    ----------
    features (N, P), isolation (N,), wells (N,) : as for `BlendedLearner.fit`.
    verdicts : what was said so far; may be empty.
    prediction : of the newest model for all N rows, None before there is one.
    limit : at most so many; fewer when fewer images wait.
    random_state : the same seed and labels give the same list.
    cutoff : the isolation cutoff in force, if any; without a model, images near it are the uncertain ones.

    Returns
    -------
    At most one image of a well while images of others wait, and no near-copies. The random share is mixed in, about
    one in ten; which of the others come first never depends on it.
    """
    rng = np.random.default_rng((random_state, len(verdicts.rows), len(verdicts.unsure_rows)))
    is_waiting = np.ones(len(features), bool)
    is_waiting[verdicts.seen_rows] = False
    waiting = np.flatnonzero(is_waiting)
    limit = min(limit, len(waiting))
    if limit < 1:
        return []
    blind = rng.choice(waiting, _n_random(limit, rng), replace=False)
    good, uncertainty = _outlook(isolation, prediction, cutoff, verdicts.n_bad)
    trust = trust_in_forest(isolation, verdicts)
    is_waiting[blind] = False
    batch = _Batch(features, wells, np.flatnonzero(is_waiting), verdicts, good, uncertainty, blind, limit, rng)
    shares = plan_shares(trust, verdicts, has_model=prediction is not None)
    chosen = []
    for way in _turns(shares, limit - len(blind)):
        row = batch.take(way)
        chosen.append(Choice(row, _why(way, float(good[row]), prediction is not None), False))
    return _mix_in(chosen, [Choice(int(row), _why(RANDOM, 0.0, False), True) for row in blind], rng)


def trust_in_forest(isolation: np.ndarray, verdicts: Verdicts) -> float:
    """Share of the forest's suspects that turned out bad, 0..1; 0.5 before anybody answered."""
    # Where scores lie is known well enough from a part of a large experiment.
    scale = forest_scale(isolation[:: max(1, len(isolation) // ENOUGH_FOR_SCALE)])
    suspect = 1 - forest_alone(isolation[verdicts.rows], scale) > SUSPECT
    right = float(verdicts.weights[suspect & ~verdicts.is_good].sum())
    wrong = float(verdicts.weights[suspect & verdicts.is_good].sum())
    return (right + BELIEF_RIGHT) / (right + wrong + BELIEF_RIGHT + BELIEF_WRONG)


def plan_shares(trust: float, verdicts: Verdicts, *, has_model: bool) -> dict[str, float]:
    """What part of a batch, without its random share, each way of asking gets; the parts sum to 1."""
    if not has_model:
        # Nobody can be uncertain about what nobody has seen: look around, and at what the forest suspects.
        suspects = 0.9 * trust
        return {SPREAD: 1 - suspects, SUSPECTS: 0.7 * suspects, UNCERTAIN: 0.3 * suspects}
    # Looking around never ends, and matters most while few bad images are known and the forest has misled.
    spread = 0.1 + (0.8 - 0.5 * trust) / (1 + verdicts.n_bad / 3)
    # Confident suspects are flagged anyway; a few looks find the rare kinds among them.
    suspects = 0.1 * min(1.0, 2 * trust)
    return {SPREAD: spread, SUSPECTS: suspects, UNCERTAIN: 1 - spread - suspects}


def _outlook(
    isolation: np.ndarray, prediction: Prediction | None, cutoff: float | None, n_bad: int
) -> tuple[np.ndarray, np.ndarray]:
    """Probability of good and uncertainty of all rows, from the model or, before there is one, from the forest."""
    if prediction is not None:
        return prediction.good, _doubt(prediction, n_bad)
    good = forest_alone(isolation)
    if cutoff is None:
        return good, 4 * good * (1 - good)
    near = expit((isolation - cutoff) / forest_scale(isolation)[1])
    return good, 4 * near * (1 - near)


def _doubt(prediction: Prediction, n_bad: int) -> np.ndarray:
    """How much a verdict on each image may change, (N,) about 0 to 1.3.

    Highest on the good side of the line, the farther the more bad images are known: an image called bad is flagged
    whether somebody looks or not, while bad images that nobody suspects enough are the ones a set would keep. (On two
    simulated plates, average precision of the unlabelled rest after 50 labels: 0.89 at 0.3, 0.83 at one half.)
    """
    most_doubted = DOUBTED_LATER + (DOUBTED_AT_FIRST - DOUBTED_LATER) / (1 + n_bad / 8)
    # The logistic of logit(good) - logit(1 - most_doubted), written without logarithms: 200,000 images wait for it.
    shifted = prediction.good * most_doubted
    shifted = shifted / (shifted + (1 - prediction.good) * (1 - most_doubted))
    doubt: np.ndarray = 4 * shifted * (1 - shifted) + 0.3 * prediction.uncertainty
    return doubt


def _n_random(limit: int, rng: np.random.Generator) -> int:
    """One in ten; the remainder is drawn, so that small batches keep the share too."""
    whole, part = divmod(RANDOM_SHARE * limit, 1)
    return int(whole) + int(rng.random() < part)


def _turns(shares: dict[str, float], n: int) -> Iterator[str]:
    """`n` ways of asking in turn, so that any first few are mixed as the shares say."""
    due = dict.fromkeys(shares, 0.0)
    for _ in range(n):
        for way, share in shares.items():
            due[way] += share
        way = max(due, key=lambda name: due[name])
        due[way] -= 1
        yield way


def _mix_in(chosen: list[Choice], blind: list[Choice], rng: np.random.Generator) -> list[Choice]:
    mixed = list(chosen)
    for choice in blind:
        mixed.insert(int(rng.integers(0, len(mixed) + 1)), choice)
    return mixed


class _Batch:
    """Candidates of a batch, and what of them is taken."""

    def __init__(
        self,
        features: np.ndarray,
        wells: np.ndarray,
        waiting: np.ndarray,
        verdicts: Verdicts,
        good: np.ndarray,
        uncertainty: np.ndarray,
        blind: np.ndarray,
        limit: int,
        rng: np.random.Generator,
    ) -> None:
        n = min(max(MOST_CANDIDATES, limit), len(waiting))
        around = rng.choice(waiting, n, replace=False)
        parts = [around, _largest(waiting, -good, n), _largest(waiting, uncertainty, n)]
        # Each row once, those that stand for all others first.
        self.rows = np.concatenate([around, np.setdiff1d(np.concatenate(parts), around)])
        self.n_around = len(around)
        self.points = features[self.rows].astype(np.float32)
        self.wells = wells[self.rows]
        self.worth = {SUSPECTS: 1 - good[self.rows], UNCERTAIN: uncertainty[self.rows]}
        seen = np.concatenate([verdicts.seen_rows, blind]).astype(np.int64)
        self.taken = np.zeros(len(self.rows), bool)
        self.well_used = np.isin(self.wells, wells[blind])
        # Distances between candidates and those that stand for all, (A, C).
        self.from_around = _distances(self.points[: self.n_around], self.points)
        self.copy_scale = _typical_nearest(self.from_around[:, : self.n_around])
        self.nearest = np.full(len(self.rows), np.inf, np.float32)
        if len(seen):
            self.nearest = _distances(features[seen].astype(np.float32), self.points).min(axis=0)

    def take(self, way: str) -> int:
        """The best row for this way of asking; it is then out of the batch, and its well too."""
        # 0 for a copy of what was seen, near 1 far from all of it, 1 before anything was.
        novel = 1 / (1 + (self.copy_scale / np.maximum(self.nearest, 1e-9)) ** 2)
        worth = self._coverage_gained() if way == SPREAD else self.worth[way] * novel
        worth = np.where(self.taken, -2.0, worth)
        if not (self.taken | self.well_used).all():
            worth = np.where(self.well_used, -1.0, worth)
        best = int(worth.argmax())
        self.taken[best] = True
        self.well_used |= self.wells == self.wells[best]
        self.nearest = np.minimum(self.nearest, _distances(self.points[best][None], self.points)[0])
        return int(self.rows[best])

    def _coverage_gained(self) -> np.ndarray:
        """How much nearer the images that stand for all would be to a labelled one (facility location)."""
        now = self.nearest[: self.n_around, None]
        if np.isinf(now).any():
            now = np.full_like(now, self.from_around.max())
        gained: np.ndarray = np.maximum(now - self.from_around, 0).mean(axis=0)
        return gained


def _largest(rows: np.ndarray, worth: np.ndarray, n: int) -> np.ndarray:
    """The `n` of the rows with the largest worth."""
    return rows if len(rows) <= n else rows[np.argpartition(worth[rows], -n)[-n:]]


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Euclidean distances (A, B)."""
    square = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :] - 2 * (a @ b.T)
    distance: np.ndarray = np.sqrt(np.maximum(square, 0))
    return distance


def _typical_nearest(distances: np.ndarray) -> float:
    """Median distance to the nearest other one."""
    if len(distances) < 2:
        return 1.0
    apart = distances + np.diag(np.full(len(distances), np.inf, np.float32))
    return max(float(np.median(apart.min(axis=1))), 1e-6)


def _why(way: str, good: float, has_model: bool) -> str:
    bad = f"{100 * (1 - good):.0f} %"
    if way == SPREAD:
        return "Unlike anything labelled so far: one look here tells about many images."
    if way == SUSPECTS:
        who = "the model" if has_model else "the forest"
        return f"Among the worst by {who} (bad with a probability of {bad}): is it right?"
    if way == UNCERTAIN:
        if has_model:
            return f"The model cannot tell (bad with a probability of {bad}) and it is unlike the others asked."
        return "Near the line between good and bad, as far as the forest can tell."
    return DRAWN_BLINDLY
