"""Active anomaly discovery: the labels re-weight the leaves of an isolation forest."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from coniferest.aadforest import AADForest
from coniferest.label import Label
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from training.learners.tree_arrays import LEAF, TreeArrays

N_TREES = 150
N_TREES_IN_TRIAL = 50
N_SUBSAMPLES = 256


class ReweightedForest:
    """coniferest's AAD forest (Das et al. 2017, "Incorporating feedback into tree-based anomaly detection")."""

    def __init__(self, random_state: int = 0, *, is_trial: bool = False) -> None:
        self.random_state = random_state
        self.is_trial = is_trial

    def fit(self, features: np.ndarray, is_good: np.ndarray, weights: np.ndarray, usual: np.ndarray) -> Self:
        forest = AADForest(
            n_trees=N_TREES_IN_TRIAL if self.is_trial else N_TREES,
            n_subsamples=min(N_SUBSAMPLES, len(usual)),
            budget="auto",
            prior_influence=1.0,
            n_jobs=1,
            random_seed=self.random_state,
        )
        labels = np.where(is_good, Label.REGULAR, Label.ANOMALY).astype(np.int32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of few images, which we know
            forest.fit_known(np.ascontiguousarray(usual, np.float32), np.asarray(features, np.float32), labels)
        self.trees_ = _trees(forest)
        mean, _ = self.trees_.mean_and_spread(features)
        # Scores to probabilities: one slope on the scores, measured in their own spread.
        usual_mean, _ = self.trees_.mean_and_spread(usual)
        self.middle_ = np.array([np.median(usual_mean), max(float(usual_mean.std()), 1e-12)])
        model = LogisticRegression(C=1.0).fit(
            self._standard(mean)[:, None], is_good.astype(int), weights * len(weights) / weights.sum()
        )
        self.line_ = np.array([max(float(model.coef_[0, 0]), 0.05), float(model.intercept_[0])])
        return self

    def _standard(self, mean: np.ndarray) -> np.ndarray:
        standard: np.ndarray = (mean - self.middle_[0]) / self.middle_[1]
        return standard

    def predict(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, _ = self.trees_.mean_and_spread(features)
        good = expit(self.line_[0] * self._standard(mean) + self.line_[1])
        return good, np.zeros(len(good))

    def contributions(self, features: np.ndarray) -> np.ndarray:
        return self.trees_.contributions(features) / self.middle_[1]

    def to_arrays(self) -> dict[str, np.ndarray]:
        return {**self.trees_.to_arrays(), "middle": self.middle_, "line": self.line_}

    def from_arrays(self, arrays: dict[str, np.ndarray]) -> Self:
        self.trees_ = TreeArrays.from_arrays(arrays)
        self.middle_, self.line_ = arrays["middle"], arrays["line"]
        return self


def _trees(forest: Any) -> TreeArrays:
    """The learned weights folded into the leaves: higher is better, as everywhere."""
    values = forest.evaluator.leaf_values * forest.evaluator.weights
    trees, first_leaf = [], 0
    for number in range(len(forest.core_forest)):
        tree = forest.core_forest[number]
        left, feature = tree.left.astype(np.int64), tree.feature.astype(np.int64)
        is_leaf = left == 0
        own = np.arange(len(left))
        value = np.zeros(len(left))
        value[is_leaf] = values[feature[is_leaf] - feature[is_leaf].min() + first_leaf]
        first_leaf += int(is_leaf.sum())
        for node in np.flatnonzero(~is_leaf)[::-1]:
            value[node] = (value[left[node]] + value[left[node] + 1]) / 2
        trees.append(
            {
                "feature": np.where(is_leaf, LEAF, feature),
                "threshold": np.where(is_leaf, 0.0, tree.value),
                "left": np.where(is_leaf, own, left),
                "right": np.where(is_leaf, own, left + 1),
                "value": value,
            }
        )
    return TreeArrays.of(trees)
