"""Regularised logistic regression."""

from __future__ import annotations

from typing import Self

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from training.learners.classifiers.trees import balance


class Logistic:
    """Logistic regression with a ridge that grows with the number of columns; both verdicts weigh the same."""

    def __init__(self, random_state: int = 0, *, is_trial: bool = False) -> None:
        self.random_state = random_state
        self.is_trial = is_trial

    def fit(self, features: np.ndarray, is_good: np.ndarray, weights: np.ndarray, usual: np.ndarray) -> Self:
        self.mean_ = usual.mean(axis=0, dtype=np.float64)
        self.scale_ = np.maximum(usual.std(axis=0, dtype=np.float64), 1e-6)
        model = LogisticRegression(C=1.0 / features.shape[1], max_iter=500)
        model.fit(self._scaled(features), is_good.astype(int), balance(is_good, weights))
        self.slope_, self.offset_ = model.coef_[0], model.intercept_
        return self

    def _scaled(self, features: np.ndarray) -> np.ndarray:
        scaled: np.ndarray = (features - self.mean_) / self.scale_
        return scaled

    def predict(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        good = expit(self._scaled(features) @ self.slope_ + self.offset_)
        # One model has no members that could differ.
        return good, np.zeros(len(good))

    def contributions(self, features: np.ndarray) -> np.ndarray:
        added: np.ndarray = self._scaled(features) * self.slope_
        return added

    def to_arrays(self) -> dict[str, np.ndarray]:
        return {"mean": self.mean_, "scale": self.scale_, "slope": self.slope_, "offset": self.offset_}

    def from_arrays(self, arrays: dict[str, np.ndarray]) -> Self:
        self.mean_, self.scale_ = arrays["mean"], arrays["scale"]
        self.slope_, self.offset_ = arrays["slope"], arrays["offset"]
        if not self.mean_.shape == self.scale_.shape == self.slope_.shape or self.offset_.shape != (1,):
            raise ValueError("The regression of this model is damaged.")
        return self
