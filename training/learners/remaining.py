"""How bad is a set still? An honest number from a few images drawn at random and looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

import numpy as np
from scipy.optimize import brentq
from scipy.stats import beta

# Of 5 % allowed to miss, most is spent where it hurts: on sets that are worse than said.
SHARE_OF_RISK_BELOW = 0.2


@dataclass(frozen=True)
class SamplePlan:
    """Which images to look at. `rows` (n,) positions in the scores given, in random order; `stratum` (n,) of each;
    `strata_sizes` (S,) images and `strata_drawn` (S,) drawn of each stratum, worst scores first; `weights` (n,) how
    many images of the set each drawn one stands for."""

    rows: np.ndarray
    stratum: np.ndarray
    strata_sizes: np.ndarray
    strata_drawn: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Estimate:
    """Share of bad images in a set (0..1) with its interval, the same in images, and as a sentence."""

    share: float
    low: float
    high: float
    count_low: int
    count_high: int
    sentence: str


def plan_sample(scores: np.ndarray, n: int, n_strata: int = 5, random_state: int = 0) -> SamplePlan:
    """Draw `n` of the images with these scores, from `n_strata` bands of the score in proportion to their size.

    The bands are cut so that every drawn image stands for the same number of images, up to rounding: the bound for
    "none bad" is then as tight as without bands, and the estimate never less sure. All images are drawn when `n` is
    their number or more.

    Raises ValueError when there is nothing to draw from, or `n` is below 1.
    """
    scores = np.asarray(scores, np.float64)
    if not len(scores) or n < 1:
        raise ValueError("There must be at least one image to draw from, and one to draw.")
    n = min(n, len(scores))
    n_strata = max(1, min(n_strata, n))
    drawn = np.full(n_strata, n // n_strata)
    drawn[: n % n_strata] += 1
    rng = np.random.default_rng(random_state)
    # Equal scores are cut at random, not by their place in the table.
    order = np.lexsort((rng.random(len(scores)), scores))
    ends = np.round(np.cumsum(drawn) / n * len(scores)).astype(int)
    starts = np.concatenate([[0], ends[:-1]])
    rows, stratum = [], []
    for number, (start, end, k) in enumerate(zip(starts, ends, drawn, strict=True)):
        rows.append(rng.choice(order[start:end], k, replace=False))
        stratum.append(np.full(k, number))
    sizes = ends - starts
    shuffled = rng.permutation(n)
    stratum_of = np.concatenate(stratum)[shuffled]
    return SamplePlan(np.concatenate(rows)[shuffled], stratum_of, sizes, drawn, (sizes / drawn)[stratum_of])


def estimate_bad(
    strata_sizes: Sequence[int] | np.ndarray,
    drawn: Sequence[int] | np.ndarray,
    found_bad: Sequence[int] | np.ndarray,
    confidence: float = 0.95,
    what: str = "bad",
) -> Estimate:
    """Share of bad images in a set of strata, from how many of the drawn ones were bad.

    Parameters
    ----------
    strata_sizes, drawn, found_bad : (S,) images, images looked at, and bad ones among those, of each stratum.
    confidence : of the interval, two-sided; for "none found" it is the confidence of the upper bound.
    what : what was looked for, as the sentence names it.

    Returns
    -------
    Estimate. None found: the largest share that would still give none with probability 1 - confidence, whatever its
    spread over the strata (60 drawn in proportion: 4.9 %). Otherwise Clopper and Pearson's interval with the
    effective number drawn (Korn & Graubard 1998), never above the real one; a fifth of the risk lies below.
    Shares are never below what was seen, so the count is at least the number of bad ones found.

    Raises ValueError when the numbers contradict each other.
    """
    sizes, n, bad = (np.asarray(part, np.float64) for part in (strata_sizes, drawn, found_bad))
    if not len(sizes) == len(n) == len(bad) or (n > sizes).any() or (bad > n).any() or (bad < 0).any():
        raise ValueError("Of each stratum, bad ones are at most those drawn, and drawn ones at most those there are.")
    if n.sum() < 1 or ((n == 0) & (sizes > 0)).any():
        raise ValueError("Every stratum with images needs at least one that was looked at.")
    sizes, n, bad = (part[sizes > 0] for part in (sizes, n, bad))
    total, n_all, n_bad = sizes.sum(), int(n.sum()), int(bad.sum())
    weights = sizes / total
    share = float(weights @ (bad / n))
    risk = 1 - confidence
    if (n == sizes).all():
        low = high = share
    elif n_bad == 0:
        low, high = 0.0, _largest_without_any(weights, n, risk)
    elif n_bad == n_all:
        low, high = 1 - _largest_without_any(weights, n, risk), 1.0
    else:
        low, high = _clopper_pearson(share, _effective(weights, n, bad, share), risk)
    # What was seen is certain, whatever the interval says.
    low = float(min(max(low, n_bad / total), share))
    high = float(max(min(high, 1 - (n_all - n_bad) / total), share))
    count_low, count_high = ceil(low * total - 1e-9), floor(high * total + 1e-9)
    return Estimate(
        share, low, high, count_low, count_high, _sentence(n_bad, n_all, share, low, high, count_low, count_high, what)
    )


def _largest_without_any(weights: np.ndarray, n: np.ndarray, risk: float) -> float:
    """Largest weighted share at which none of the drawn would be bad with probability `risk`, over all ways the bad
    ones can lie in the strata: p = max(0, 1 - n / (t w)), the optimum of a linear aim under one concave bound."""

    def shares(t: float) -> np.ndarray:
        return np.maximum(0.0, 1 - n / (t * weights))

    def excess(log_t: float) -> float:
        return float(n @ np.log1p(-shares(np.exp(log_t)))) - np.log(risk)

    ratio = n / weights
    log_t = brentq(excess, np.log(ratio.min()), np.log(ratio.max()) + 30.0)
    return float(weights @ shares(np.exp(log_t)))


def _effective(weights: np.ndarray, n: np.ndarray, bad: np.ndarray, share: float) -> float:
    """Simple random draws that would tell as much, at most those made."""
    # A stratum that shows none may hold some: half a bad one in each keeps its variance above 0.
    p = (bad + 0.5) / (n + 1)
    variance = float((weights**2 * p * (1 - p)) @ (1 / n))
    return min(float(n.sum()), share * (1 - share) / variance)


def _clopper_pearson(share: float, n: float, risk: float) -> tuple[float, float]:
    k = share * n
    low = beta.ppf(risk * SHARE_OF_RISK_BELOW, k, n - k + 1)
    high = beta.ppf(1 - risk * (1 - SHARE_OF_RISK_BELOW), k + 1, n - k)
    return float(low), float(high)


def _sentence(
    n_bad: int, n: int, share: float, low: float, high: float, count_low: int, count_high: int, what: str
) -> str:
    seen = f"{n_bad:,} {what} of {n:,} drawn"
    if low == high:
        return f"{seen}, and all were drawn: {_percent(share)} are {what}."
    if n_bad == 0:
        return f"{seen}: at most {_percent(high)} ({count_high:,} images)."
    return f"{seen}: about {_percent(share)}, between {_percent(low)} and {_percent(high)} " + (
        f"({count_low:,} to {count_high:,} images)."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 0.995 else f"{100 * share:.4g} %"
