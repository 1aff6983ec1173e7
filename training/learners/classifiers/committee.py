"""Trees and networks together: where one kind errs the other often does not."""

from __future__ import annotations

from typing import Self

import numpy as np
from scipy.special import expit, logit

from training.learners.classifiers.network import NetworkEnsemble
from training.learners.classifiers.trees import Trees

# A member that is quite sure must not overrule the other alone.
SURE = 0.01


class Committee:
    """Extremely randomised trees and small networks, their logits averaged.

    On simulated plates the mean was about as good as the better of the two, or better than both; trees lead where a
    few columns tell all, networks where many columns each tell a little.
    """

    def __init__(self, random_state: int = 0, *, is_trial: bool = False) -> None:
        self.random_state = random_state
        self.members_: tuple[Trees, NetworkEnsemble] = (
            Trees(random_state, is_trial=is_trial),
            NetworkEnsemble(random_state, is_trial=is_trial),
        )

    def fit(self, features: np.ndarray, is_good: np.ndarray, weights: np.ndarray, usual: np.ndarray) -> Self:
        for member in self.members_:
            member.fit(features, is_good, weights, usual)
        return self

    def predict(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        (of_trees, spread_of_trees), (of_networks, spread_of_networks) = (
            member.predict(features) for member in self.members_
        )
        logits = [logit(np.clip(good, SURE, 1 - SURE)) for good in (of_trees, of_networks)]
        apart = np.abs(of_trees - of_networks)
        return expit((logits[0] + logits[1]) / 2), np.maximum((spread_of_trees + spread_of_networks) / 2, apart / 2)

    def contributions(self, features: np.ndarray) -> np.ndarray:
        """Those of the trees, which tell a column from its relatives more plainly."""
        return self.members_[0].contributions(features)

    def to_arrays(self) -> dict[str, np.ndarray]:
        trees, network = self.members_
        of_trees = {f"trees.{name}": part for name, part in trees.to_arrays().items()}
        return of_trees | {f"network.{name}": part for name, part in network.to_arrays().items()}

    def from_arrays(self, arrays: dict[str, np.ndarray]) -> Self:
        trees, network = self.members_
        trees.from_arrays({name[6:]: part for name, part in arrays.items() if name.startswith("trees.")})
        network.from_arrays({name[8:]: part for name, part in arrays.items() if name.startswith("network.")})
        return self
