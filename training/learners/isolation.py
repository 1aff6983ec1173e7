"""The unsupervised score: how hard an image is to tell apart from the rest of its plate."""

from __future__ import annotations

from typing import Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import IsolationForest
from sklearn.utils.validation import check_is_fitted

from training.learners.scaling import robust_features, varying_columns


class IsolationScorer(BaseEstimator):
    """scikit-learn's isolation forest over robustly scaled metrics.

    Scores lie between -1 and 0 and higher is better: -1 is an image a single cut isolates, -0.5 one as easy
    to isolate as a random point (Liu, Ting & Zhou 2008, "Isolation forest").
    """

    def __init__(self, n_estimators: int = 300, max_samples: int = 256, random_state: int | None = None) -> None:
        self.n_estimators = n_estimators
        self.max_samples = max_samples
        self.random_state = random_state

    def fit(
        self,
        values: np.ndarray,
        groups: np.ndarray,
        reference: np.ndarray | None = None,
        embeddings: np.ndarray | None = None,
    ) -> Self:
        """Learn from metrics (N, P) and the plate of each row (N,). Columns that never vary are dropped.

        `reference` (N,) marks the rows each plate is scaled by; all when None. `embeddings` (N, K) are what a
        network saw, scaled within the plates already (`reduce.EmbeddingReducer`); they stand beside the metrics.

        Raises ValueError when no column varies: there is nothing to tell images apart by.
        """
        self.columns_ = np.flatnonzero(varying_columns(values))
        if not len(self.columns_):
            raise ValueError("No metric varies between these images.")
        features = self._features(values, groups, reference, embeddings)
        self.forest_ = IsolationForest(
            n_estimators=self.n_estimators,
            max_samples=min(self.max_samples, len(features)),
            random_state=self.random_state,
        ).fit(features)
        return self

    def score_samples(
        self,
        values: np.ndarray,
        groups: np.ndarray,
        reference: np.ndarray | None = None,
        embeddings: np.ndarray | None = None,
    ) -> np.ndarray:
        """Scores (N,) of metrics (N, P), and embeddings if it learnt from some; scaled within the plates given here."""
        check_is_fitted(self)
        return self.forest_.score_samples(self._features(values, groups, reference, embeddings))

    def _features(
        self,
        values: np.ndarray,
        groups: np.ndarray,
        reference: np.ndarray | None,
        embeddings: np.ndarray | None,
    ) -> np.ndarray:
        features = robust_features(values[:, self.columns_], groups, reference)
        return features if embeddings is None else np.hstack([features, embeddings])
