"""Classifiers that learn good from bad out of few labels. All keep one contract, so that any can be blended."""

from __future__ import annotations

from typing import Any, Protocol, Self

import numpy as np

from training.learners.classifiers.anomaly import ReweightedForest
from training.learners.classifiers.committee import Committee
from training.learners.classifiers.logistic import Logistic
from training.learners.classifiers.network import NetworkEnsemble
from training.learners.classifiers.trees import Trees

__all__ = [
    "CLASSIFIERS",
    "IN_WORDS",
    "Classifier",
    "Committee",
    "Logistic",
    "NetworkEnsemble",
    "ReweightedForest",
    "Trees",
    "make_classifier",
]


class Classifier(Protocol):
    """What a blend needs. Features are (N, P) float32 on the scale of `scaling.robust_features`."""

    def fit(self, features: np.ndarray, is_good: np.ndarray, weights: np.ndarray, usual: np.ndarray) -> Self:
        """Learn from labelled rows (L, P), both verdicts among them. `usual` (M, P) are rows without labels, a
        picture of what there is."""
        ...

    def predict(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probability of good (N,) and how much the members of the ensemble differ (N,), both 0..1."""
        ...

    def contributions(self, features: np.ndarray) -> np.ndarray:
        """What each column adds towards good, (N, P), in units of the classifier's own."""
        ...

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Everything learned, as plain arrays."""
        ...

    def from_arrays(self, arrays: dict[str, np.ndarray]) -> Self:
        """Take back what `to_arrays` gave. Raises ValueError or KeyError when it is damaged."""
        ...


CLASSIFIERS: dict[str, Any] = {
    "committee": Committee,
    "trees": Trees,
    "logistic": Logistic,
    "network": NetworkEnsemble,
    "anomaly": ReweightedForest,
}
IN_WORDS = {
    "committee": "extremely randomised trees together with an ensemble of small neural networks",
    "trees": "extremely randomised trees",
    "logistic": "regularised logistic regression",
    "network": "an ensemble of small neural networks",
    "anomaly": "the isolation forest, re-weighted by the labels",
}


def make_classifier(name: str, random_state: int, *, is_trial: bool = False) -> Classifier:
    """A fresh classifier; one for a trial has fewer members. Raises ValueError for a name that is none."""
    if name not in CLASSIFIERS:
        raise ValueError(f"{name!r} is no classifier; use {', '.join(CLASSIFIERS)}.")
    made: Classifier = CLASSIFIERS[name](random_state=random_state, is_trial=is_trial)
    return made
