"""Put metrics of different plates and units on one scale."""

from __future__ import annotations

import numpy as np

from imaging.robust import robust_z

# A deviation of 147 robust standard deviations; farther tells nothing more and would stretch every split.
CLIP = 5.0


def signed_log(z: np.ndarray) -> np.ndarray:
    """sign(z) log(1 + |z|), clipped to ±5: far outliers stay far without drowning the rest. Keeps signs."""
    return np.clip(np.sign(z) * np.log1p(np.abs(z)), -CLIP, CLIP)


def robust_features(values: np.ndarray, groups: np.ndarray, reference: np.ndarray | None = None) -> np.ndarray:
    """Signed log of the robust z of every metric (N, P); undefined values become 0, as typical as can be."""
    return np.nan_to_num(signed_log(robust_z(values, groups, reference)), nan=0.0)


def varying_columns(values: np.ndarray) -> np.ndarray:
    """(P,) True for columns that hold at least two different defined values."""
    with np.errstate(invalid="ignore"):
        defined = ~np.isnan(values)
        largest = np.where(defined, values, -np.inf).max(axis=0)
        smallest = np.where(defined, values, np.inf).min(axis=0)
    return largest > smallest
