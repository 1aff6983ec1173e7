"""Why an image is suspected, in the words of a microscopist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import IsolationForest

from imaging.metrics import parse_column
from training.learners.tree_arrays import of_isolation_forest


@dataclass(frozen=True)
class Reason:
    """One thing that speaks against an image: a phrase, the column it rests on most, and how much it counts (0..1,
    a share of everything that speaks against this image)."""

    text: str
    column: str
    strength: float


def forest_attributions(forest: IsolationForest, features: np.ndarray) -> np.ndarray:
    """How much each column of these rows makes them easy to isolate, (N, P) float64; higher is more suspect.

    By how much the expected path shortens at each cut of the forest's own trees, as a share of the usual length.
    """
    trees = of_isolation_forest(forest)
    usual = float(trees.value[trees.starts].mean())
    return -trees.contributions(features) / usual


def explain(
    values: np.ndarray,
    robust_z: np.ndarray,
    columns: Sequence[str],
    channels: Sequence[str],
    *,
    rows: np.ndarray,
    attributions: np.ndarray,
    most: int = 3,
) -> list[list[Reason]]:
    """Reasons against the images `rows`, the strongest first; an empty list where nothing speaks against one.

    Parameters
    ----------
    values (N, P), robust_z (N, P) : raw metrics of the plate or experiment, and the same in robust SDs per plate.
    columns (P,), channels : names as in the metric set, and the experiment's channels.
    rows (R,) : which images to explain.
    attributions (R, P) : higher is more suspect, such as `forest_attributions`, or minus `contributions` of the model,
        or their blend; 0 for columns the model does not use.
    """
    explained = []
    for row, added in zip(rows, np.maximum(attributions, 0), strict=True):
        total = added.sum()
        order = np.argsort(-added, kind="stable")[:most]
        explained.append(
            [
                Reason(
                    _phrase(columns[n], channels, values[:, n], values[row, n], robust_z[row, n]),
                    columns[n],
                    float(added[n] / total),
                )
                for n in order
                if total > 0 and added[n] > 0
            ]
        )
    return explained


def _phrase(column: str, channels: Sequence[str], everywhere: np.ndarray, value: float, z: float) -> str:
    metric, channel = parse_column(column, channels)
    is_high = bool(z > 0)
    beyond = np.nanmean(everywhere < value) if is_high else np.nanmean(everywhere > value)
    means = metric.higher_means if is_high else metric.lower_means
    return f"{channel} channel {means} than {min(99.9, 100 * beyond):.0f} % of this plate"
