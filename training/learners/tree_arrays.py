"""Trees as plain arrays: they predict fast, say which columns moved them, and are stored without pickle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numba import njit
from sklearn.ensemble import ExtraTreesClassifier, IsolationForest

LEAF = -1


@dataclass(frozen=True)
class TreeArrays:
    """All nodes of an ensemble in one row of arrays; trees follow each other.

    starts (T,) int32: the root of each tree. For every node: feature (LEAF for leaves), threshold (left when
    x <= threshold), left and right (positions in these arrays), value (at inner nodes the mean of what lies below).
    """

    starts: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray

    @property
    def n_trees(self) -> int:
        return len(self.starts)

    def mean_and_spread(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and SD over the trees of the value each row ends in, (N,) float64 both; features (N, P) float32."""
        mean, square = _sums(self._nodes, np.ascontiguousarray(features, np.float32))
        mean, square = mean / self.n_trees, square / self.n_trees
        return mean, np.sqrt(np.maximum(square - mean**2, 0))

    def contributions(self, features: np.ndarray) -> np.ndarray:
        """What each column adds to the mean value, (N, P) float64; a row's sum is its value minus the roots' mean.

        Along a row's path every step from a node to its child is credited to the column it split on (Saabas 2014,
        "Interpreting random forests").
        """
        return _contributions(self._nodes, np.ascontiguousarray(features, np.float32)) / self.n_trees

    @property
    def _nodes(self) -> tuple[np.ndarray, ...]:
        return self.starts, self.feature, self.threshold, self.left, self.right, self.value

    def to_arrays(self) -> dict[str, np.ndarray]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """Raises ValueError when a node points outside the arrays: a damaged file must not make a wild read."""
        trees = cls(**{field.name: np.ascontiguousarray(arrays[field.name]) for field in fields(cls)})
        n = len(trees.feature)
        inner = trees.feature != LEAF
        children = np.concatenate([trees.left[inner], trees.right[inner]])
        parents = np.tile(np.flatnonzero(inner), 2)
        if (
            {len(trees.threshold), len(trees.left), len(trees.right), len(trees.value)} != {n}
            or (children <= parents).any()
            or (children >= n).any()
            or (trees.starts < 0).any()
            or (trees.starts >= n).any()
            or (trees.feature < LEAF).any()
        ):
            raise ValueError("The trees of this model are damaged.")
        return trees

    @classmethod
    def of(cls, trees: Sequence[dict[str, np.ndarray]]) -> Self:
        """From one dictionary of node arrays per tree, with children counted within the tree."""
        sizes = np.array([len(tree["feature"]) for tree in trees])
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)

        def joined(name: str, kind: Any, move: bool = False) -> np.ndarray:
            parts = [tree[name] + (start if move else 0) for tree, start in zip(trees, starts, strict=True)]
            return np.concatenate(parts).astype(kind)

        return cls(
            starts,
            joined("feature", np.int32),
            joined("threshold", np.float64),
            joined("left", np.int32, move=True),
            joined("right", np.int32, move=True),
            joined("value", np.float64),
        )


def of_classifier(forest: ExtraTreesClassifier, smoothing: float = 0.0) -> TreeArrays:
    """Trees whose value is the share of good among the training weight in a node; `forest.classes_` is (0, 1).

    `smoothing` pulls each leaf towards the share at its root by that much weight.
    """
    trees = []
    for estimator in forest.estimators_:
        tree = estimator.tree_
        good = tree.value[:, 0, 1] / tree.value[:, 0].sum(axis=1)
        weight = tree.weighted_n_node_samples
        value = (good * weight + good[0] * smoothing) / (weight + smoothing)
        trees.append(_nodes_of(tree, value))
    return TreeArrays.of(trees)


def of_isolation_forest(forest: IsolationForest) -> TreeArrays:
    """Trees whose value is the expected path length, in the columns of the features: longer is more usual."""
    trees = []
    for estimator, columns in zip(forest.estimators_, forest.estimators_features_, strict=True):
        tree = estimator.tree_
        n = tree.n_node_samples.astype(np.float64)
        value = _average_path_length(n)
        depth = np.zeros(tree.node_count)
        inner = np.flatnonzero(tree.children_left >= 0)
        for node in inner:  # parents come before children
            depth[tree.children_left[node]] = depth[tree.children_right[node]] = depth[node] + 1
        value += depth
        for node in inner[::-1]:
            left, right = tree.children_left[node], tree.children_right[node]
            value[node] = (n[left] * value[left] + n[right] * value[right]) / n[node]
        nodes = _nodes_of(tree, value)
        is_inner = nodes["feature"] != LEAF
        nodes["feature"] = np.where(is_inner, columns[np.maximum(nodes["feature"], 0)], LEAF)
        trees.append(nodes)
    return TreeArrays.of(trees)


def _nodes_of(tree: Any, value: np.ndarray) -> dict[str, np.ndarray]:
    is_leaf = tree.children_left < 0
    own = np.arange(tree.node_count)
    return {
        "feature": np.where(is_leaf, LEAF, tree.feature),
        "threshold": np.where(is_leaf, 0.0, tree.threshold),
        "left": np.where(is_leaf, own, tree.children_left),
        "right": np.where(is_leaf, own, tree.children_right),
        "value": value,
    }


def _average_path_length(n: np.ndarray) -> np.ndarray:
    """Mean depth of an unsuccessful search in a binary tree of n points (Liu, Ting & Zhou 2008, equation 1)."""
    length = np.where(n == 2, 1.0, 0.0)
    many = n > 2
    length[many] = 2 * (np.log(n[many] - 1) + np.euler_gamma) - 2 * (n[many] - 1) / n[many]
    return length


@njit(cache=True, nogil=True)
def _sums(nodes: tuple, features: np.ndarray) -> tuple:  # pragma: no cover - compiled
    starts, feature, threshold, left, right, value = nodes
    total, square = np.zeros(len(features)), np.zeros(len(features))
    # Rows in blocks, so that a tree and a block of rows stay in the cache together.
    for first in range(0, len(features), 512):
        last = min(first + 512, len(features))
        for start in starts:
            for row in range(first, last):
                node = start
                while feature[node] >= 0:
                    node = left[node] if features[row, feature[node]] <= threshold[node] else right[node]
                total[row] += value[node]
                square[row] += value[node] * value[node]
    return total, square


@njit(cache=True, nogil=True)
def _contributions(nodes: tuple, features: np.ndarray) -> np.ndarray:  # pragma: no cover - compiled
    starts, feature, threshold, left, right, value = nodes
    added = np.zeros(features.shape)
    for row in range(len(features)):
        for start in starts:
            node = start
            while feature[node] >= 0:
                column = feature[node]
                child = left[node] if features[row, column] <= threshold[node] else right[node]
                added[row, column] += value[child] - value[node]
                node = child
    return added
