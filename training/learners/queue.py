"""Which images to show next: uncertain, unlike each other, useful, and some drawn blindly to measure by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.learners.blend import Prediction, forest_alone
from training.learners.verdicts import Verdicts

RANDOM_SHARE = 0.1


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
    cutoff : the isolation cutoff in force, if any.
    """
    rng = np.random.default_rng((random_state, len(verdicts.seen_rows)))
    waiting = np.setdiff1d(np.arange(len(features)), verdicts.seen_rows)
    if not len(waiting) or limit < 1:
        return []
    limit = min(limit, len(waiting))
    good = forest_alone(isolation) if prediction is None else prediction.good
    uncertainty = 4 * good * (1 - good) if prediction is None else prediction.uncertainty
    n_random = max(1, round(RANDOM_SHARE * limit)) if limit > 1 else 0
    blind = rng.choice(waiting, n_random, replace=False)
    order = waiting[np.argsort(-uncertainty[waiting], kind="stable")]
    chosen: list[Choice] = []
    used: set[int] = {int(wells[row]) for row in blind}
    for row in order[~np.isin(order, blind)]:
        if len(chosen) == limit - n_random:
            break
        if int(wells[row]) in used:
            continue
        used.add(int(wells[row]))
        chosen.append(Choice(int(row), f"good with {100 * good[row]:.0f} % probability: it could be either", False))
    chosen += [Choice(int(row), "drawn at random, to measure by", True) for row in blind]
    return chosen
