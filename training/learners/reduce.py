"""From vectors of a thousand numbers to a few that say how images differ within their plates."""

from __future__ import annotations

from typing import Self

import numpy as np
from scipy.stats import trim_mean
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from training.learners.scaling import robust_features

# Of 864 numbers. 96 gain the forest another 0.02 of average precision, and need plates half as large again.
N_COMPONENTS = 64
TRIMMED = 0.1  # of each end before a plate's mean: bad wells do not move its middle


class EmbeddingReducer(BaseEstimator):
    """Principal components of vectors that were scaled within their plates, so that no plate stands out as a whole.

    Every number of a vector becomes the signed log of its robust z within its group (`scaling.robust_features`):
    a plate's light, stain and gain fall away before anything is learnt; each component is then centred on the
    plate's trimmed mean. The components are those of at most
    `most_rows` rows, drawn evenly at random. A component's sign is fixed by its largest loading, which is
    positive; so the same vectors and seed give the same numbers.
    """

    def __init__(
        self, n_components: int = N_COMPONENTS, most_rows: int = 20_000, random_state: int | None = None
    ) -> None:
        self.n_components = n_components
        self.most_rows = most_rows
        self.random_state = random_state

    def fit_transform(self, vectors: np.ndarray, groups: np.ndarray, reference: np.ndarray | None = None) -> np.ndarray:
        """Components (N, K) float32 of vectors (N, D) in groups (N,); K is `n_components` or fewer if there are fewer.

        `reference` (N,) marks the rows each group is scaled by; all when None.
        """
        return self.fit(vectors, groups, reference).transform(vectors, groups, reference)

    def fit(self, vectors: np.ndarray, groups: np.ndarray, reference: np.ndarray | None = None) -> Self:
        rng = np.random.default_rng(self.random_state)
        share = min(1.0, self.most_rows / len(vectors))
        products, total, n = np.zeros((vectors.shape[1],) * 2), np.zeros(vectors.shape[1]), 0
        for rows in _rows_of_groups(groups):
            scaled = _scaled(vectors, rows, reference)
            if share < 1:
                scaled = scaled[rng.random(len(scaled)) < share]
            products += scaled.T @ scaled
            total += scaled.sum(axis=0)
            n += len(scaled)
        self.mean_ = (total / n).astype(np.float32)
        variances, loadings = np.linalg.eigh(products / n - np.outer(self.mean_, self.mean_))
        order = np.argsort(variances)[::-1][: min(self.n_components, len(vectors) - 1)]
        loadings = loadings[:, order]
        largest = np.take_along_axis(loadings, np.abs(loadings).argmax(axis=0)[None], axis=0)
        self.components_ = (loadings * np.where(largest < 0, -1, 1)).T.astype(np.float32)
        self.explained_share_ = float(variances[order].sum() / max(variances.sum(), np.finfo(float).tiny))
        return self

    def transform(self, vectors: np.ndarray, groups: np.ndarray, reference: np.ndarray | None = None) -> np.ndarray:
        check_is_fitted(self)
        reduced = np.empty((len(vectors), len(self.components_)), np.float32)
        for rows in _rows_of_groups(groups):
            components = (_scaled(vectors, rows, reference) - self.mean_) @ self.components_.T
            usual = slice(None) if reference is None else reference[rows]
            # The medians of many numbers err each their own way; small components would show that as the plate.
            reduced[rows] = components - trim_mean(components[usual], TRIMMED, axis=0)
        return reduced


def _rows_of_groups(groups: np.ndarray) -> list[np.ndarray]:
    """The rows of each group: one plate at a time, since 200,000 scaled vectors would fill the memory."""
    return [np.flatnonzero(groups == group) for group in np.unique(groups)]


def _scaled(vectors: np.ndarray, rows: np.ndarray, reference: np.ndarray | None) -> np.ndarray:
    """The vectors of one group (n, D) as signed logs of their robust z."""
    one_group = np.zeros(len(rows), int)
    usual = None if reference is None else reference[rows]
    return robust_features(vectors[rows], one_group, usual).astype(np.float32)
