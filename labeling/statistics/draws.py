"""Exact distributions of a sum over wells drawn by chance: what a pattern or a treatment is judged against.

Wells, not fields, are drawn. A dried well loses all its fields together; drawing fields would take that for
nine independent accidents and see patterns on every plate.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import gammaln

# Sums are counted in coarser steps where the table would need more operations than these (about 0.2 s).
MOST_OPERATIONS = 50_000_000
# What is rarer changes no sum in any digit that is kept.
NEGLIGIBLE = 1e-25


def sums_of_draws(lost: np.ndarray, n_drawn: int) -> np.ndarray:
    """Probability of each sum of `lost` over `n_drawn` wells drawn without replacement.

    Parameters
    ----------
    lost : (W,) whole numbers, not negative: fields lost in each well.
    n_drawn : 0 to W.

    Returns
    -------
    (S + 1,) float64, where S is the largest sum possible. Exact (what is left out is below 1e-20): wells with the
    same number are drawn together, as a multivariate hypergeometric distribution (Fisher's randomisation test over
    positions).
    """
    lost = np.asarray(lost, int)
    if not 0 <= n_drawn <= len(lost):
        raise ValueError(f"{n_drawn} of {len(lost)} wells cannot be drawn")
    largest = int(np.sort(lost)[len(lost) - n_drawn :].sum())
    table = np.zeros((n_drawn + 1, largest + 1))  # wells drawn so far, their sum
    table[0, 0] = 1.0
    n_left, reached = len(lost), 0  # no sum so far is larger
    used = np.arange(n_drawn + 1)
    for value, n_alike in zip(*np.unique(lost[lost > 0], return_counts=True), strict=True):
        following = np.zeros_like(table)
        for n in range(min(n_alike, n_drawn, largest // value) + 1):
            # Given how many wells are drawn already, n more come from those with this value.
            chance = _hypergeometric(n, n_left, n_alike, n_drawn - used[: n_drawn + 1 - n])
            likely = np.flatnonzero(chance > NEGLIGIBLE)
            if not len(likely):
                continue
            first, last = likely[0], likely[-1] + 1  # rows between them: the distribution has one peak
            width = min(reached, largest - value * n) + 1
            following[first + n : last + n, value * n : value * n + width] += (
                table[first:last, :width] * chance[first:last, None]
            )
        table, n_left = following, n_left - int(n_alike)
        reached = min(reached + int(value * n_alike), largest)
    return table.sum(axis=0)  # all further wells lost nothing


def _hypergeometric(n: int, n_wells: int, n_alike: int, n_drawn: np.ndarray) -> np.ndarray:
    """Probability that n of `n_drawn` (D,) wells are among `n_alike` of `n_wells`; 0 where that cannot be.

    scipy.stats.hypergeom says the same, at five times the cost for arrays this short.
    """
    possible = (n_drawn >= n) & (n_drawn - n <= n_wells - n_alike) & (n_drawn <= n_wells)
    drawn = np.where(possible, n_drawn, n)
    logarithm = (
        _log_choose(n_alike, n)
        + _log_choose(n_wells - n_alike, np.where(possible, drawn - n, 0))
        - _log_choose(n_wells, drawn)
    )
    return np.where(possible, np.exp(logarithm), 0.0)


def _log_choose(n: int, k: int | np.ndarray) -> np.ndarray:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - np.asarray(k) + 1)


def chance_of_more(sums: np.ndarray, observed: int) -> float:
    """Probability of a sum of at least `observed`, 0 to 1."""
    return float(min(sums[observed:].sum(), 1.0)) if observed < len(sums) else 0.0


class Draws:
    """Draws from the wells of one plate; equal numbers of wells share one table."""

    def __init__(self, lost: np.ndarray) -> None:
        self.lost = np.asarray(lost, np.int64)

    def step(self, n_drawn: int) -> int:
        """How many lost fields count as one step of the sum: 1 unless the table would be huge."""
        n_operations = int((self.lost > 0).sum()) * (n_drawn + 1) * max(int(self.lost.sum()), 1)
        return int(np.ceil(n_operations / MOST_OPERATIONS))

    def sums(self, n_drawn: int) -> tuple[int, np.ndarray]:
        """The step, and the distribution of the sum in such steps."""
        step = max(self.step(n_drawn), 1)
        return step, _known_sums((self.lost // step).tobytes(), n_drawn)

    def chance_of_more(self, is_in: np.ndarray) -> float:
        """How often as many wells, drawn by chance, lose at least as much as those marked (W,)."""
        step, sums = self.sums(int(is_in.sum()))
        return chance_of_more(sums, int((self.lost[is_in] // step).sum()))


@lru_cache(maxsize=1024)  # a page is looked at again and again, and a label changes one plate of many
def _known_sums(lost: bytes, n_drawn: int) -> np.ndarray:
    return sums_of_draws(np.frombuffer(lost, np.int64), n_drawn)


def sums_of_coins(chances: np.ndarray) -> np.ndarray:
    """Probability of each number of heads among coins with these chances (N,): (N + 1,), Poisson's binomial."""
    sums = np.ones(1)
    for chance in chances:
        sums = np.convolve(sums, (1 - chance, chance))
    return sums
