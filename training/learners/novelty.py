"""How far a new experiment lies from what a model has seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.validation import check_is_fitted

MOST_KEPT = 3000
NEIGHBOURS = 3
# What a plate like those seen has beyond this percentile of distances is, by definition, 5 %.
USUAL_PERCENTILE = 95.0
FAR = 0.5


@dataclass(frozen=True)
class PlateNovelty:
    """distance: 0 (like what the model has seen) to 1 (every image beyond it); the model must not decide when far."""

    plate: int
    distance: float
    is_far: bool
    sentence: str


class Familiarity(BaseEstimator):
    """What a model has seen, kept as a sample of its features and how far apart plates of one experiment lie."""

    def __init__(self, random_state: int = 0) -> None:
        self.random_state = random_state

    def fit(self, features: np.ndarray, plates: np.ndarray) -> Self:
        """Features (N, P) of the experiments the model learned from, and the plate of each row."""
        rng = np.random.default_rng(self.random_state)
        rows = np.sort(rng.choice(len(features), min(len(features), MOST_KEPT), replace=False))
        self.sample_ = np.ascontiguousarray(features[rows], np.float32)
        self.limit_ = float(np.percentile(_distances_within(self.sample_, plates[rows], rng), USUAL_PERCENTILE))
        return self

    def measure(self, features: np.ndarray, plates: np.ndarray) -> list[PlateNovelty]:
        """One entry a plate, in the order of plate numbers. `features` on the same scale as in `fit`."""
        check_is_fitted(self)
        if features.shape[1] != self.sample_.shape[1]:
            raise ValueError(f"The model knows {self.sample_.shape[1]} columns; these are {features.shape[1]}.")
        near = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(self.sample_))).fit(self.sample_)
        rng = np.random.default_rng(self.random_state)
        found = []
        for plate in np.unique(plates):
            rows = np.flatnonzero(plates == plate)
            rows = rng.choice(rows, min(len(rows), 1000), replace=False)
            distance = near.kneighbors(features[rows])[0].mean(axis=1)
            beyond = float((distance > self.limit_).mean())
            # A twentieth lies beyond by definition.
            share = float(np.clip((beyond - 0.05) / 0.95, 0, 1))
            found.append(PlateNovelty(int(plate), share, share > FAR, _sentence(share)))
        return found

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What was learned, to be stored beside the model."""
        return {"sample": self.sample_, "limit": np.array([self.limit_])}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """Take back what `to_arrays` gave."""
        kept = cls()
        kept.sample_, kept.limit_ = arrays["sample"], float(arrays["limit"][0])
        return kept


def _distances_within(sample: np.ndarray, plates: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Distance of each kept row to its neighbours on other plates, or, of one plate, on the other half of it."""
    halves = plates if len(np.unique(plates)) > 1 else rng.integers(0, 2, len(sample))
    distance = np.zeros(len(sample))
    for group in np.unique(halves):
        inside = halves == group
        near = NearestNeighbors(n_neighbors=min(NEIGHBOURS, int((~inside).sum()))).fit(sample[~inside])
        distance[inside] = near.kneighbors(sample[inside])[0].mean(axis=1)
    return distance


def _sentence(share: float) -> str:
    percent = f"{100 * share:.0f} % of its images lie beyond what the model has seen"
    if share > FAR:
        return f"Far from the model's experience: {percent}. The forest decides here until there are labels."
    return f"Near to the model's experience: {percent}."
