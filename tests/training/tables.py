"""Small tables that learners are tried on: made numbers whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.learners.isolation import IsolationScorer
from training.learners.verdicts import Verdicts, verdicts_of


@dataclass(frozen=True)
class Table:
    features: np.ndarray
    isolation: np.ndarray
    wells: np.ndarray
    is_bad: np.ndarray

    @property
    def known(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.features, self.isolation, self.wells

    def labelled(self, rows: np.ndarray) -> Verdicts:
        return verdicts_of(rows, ~self.is_bad[rows])

    def some_labels(self, n: int, seed: int = 0) -> Verdicts:
        return self.labelled(np.random.default_rng(seed).permutation(len(self.is_bad))[:n])


def outlying_table(seed: int = 0, n: int = 300, n_bad: int = 33) -> Table:
    """Bad rows lie far out in a few columns: the forest sees most of them."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 12))
    is_bad = np.zeros(n, bool)
    is_bad[rng.choice(n, n_bad, replace=False)] = True
    features[is_bad, :4] += rng.uniform(1.5, 5, (n_bad, 1))
    return _table(features, is_bad, rng)


def misleading_table(seed: int = 0, n: int = 600, n_bad: int = 60) -> Table:
    """Bad rows are a tight group in the middle of things, and the outliers are good: the forest is worse than blind."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 12))
    odd = rng.choice(n, n // 8, replace=False)
    features[odd] *= 3
    is_bad = np.zeros(n, bool)
    is_bad[rng.choice(np.setdiff1d(np.arange(n), odd), n_bad, replace=False)] = True
    features[is_bad] *= 0.4
    features[is_bad, :3] += 1.2
    return _table(features, is_bad, rng)


def _table(features: np.ndarray, is_bad: np.ndarray, rng: np.random.Generator) -> Table:
    plates = np.zeros(len(features), int)
    isolation = IsolationScorer(n_estimators=100, random_state=1).fit(features, plates).score_samples(features, plates)
    return Table(features.astype(np.float32), isolation, rng.permutation(len(features)) // 3, is_bad)
