"""Extremely randomised trees."""

from __future__ import annotations

from typing import Self

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier

from training.learners.tree_arrays import TreeArrays, of_classifier

N_TREES = 200
N_TREES_IN_TRIAL = 60


class Trees:
    """Extremely randomised trees (Geurts, Ernst & Wehenkel 2006); both verdicts weigh the same in training."""

    def __init__(self, random_state: int = 0, *, is_trial: bool = False) -> None:
        self.random_state = random_state
        self.is_trial = is_trial

    def fit(self, features: np.ndarray, is_good: np.ndarray, weights: np.ndarray, usual: np.ndarray) -> Self:
        balanced = balance(is_good, weights)
        n_trees = N_TREES_IN_TRIAL if self.is_trial else N_TREES
        forest = ExtraTreesClassifier(n_trees, max_features="sqrt", random_state=self.random_state, n_jobs=1)
        forest.fit(features, is_good.astype(int), balanced)
        self.trees_ = of_classifier(forest)
        return self

    def predict(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.trees_.mean_and_spread(features)

    def contributions(self, features: np.ndarray) -> np.ndarray:
        return self.trees_.contributions(features)

    def to_arrays(self) -> dict[str, np.ndarray]:
        return self.trees_.to_arrays()

    def from_arrays(self, arrays: dict[str, np.ndarray]) -> Self:
        self.trees_ = TreeArrays.from_arrays(arrays)
        return self


def balance(is_good: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weights (L,) whose sums are equal for both verdicts and L in all."""
    total = np.where(is_good, weights[is_good].sum(), weights[~is_good].sum())
    balanced: np.ndarray = weights * len(weights) / (2 * total)
    return balanced
