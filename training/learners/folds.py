"""Split labels so that fields of one well, or of one plate, are never on both sides."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold


def grouped_folds(
    is_good: np.ndarray, groups: np.ndarray, *, n_folds: int, random_state: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(train, held) indices of each fold; groups stay whole and both verdicts spread over the folds.

    Fewer folds where one verdict is in fewer groups than that; nothing at all when a verdict is in one group only,
    because then no model can be trained without it.
    """
    fewest = min(len(np.unique(groups[is_good])), len(np.unique(groups[~is_good])))
    n_folds = min(n_folds, fewest)
    if n_folds < 2:
        return
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=random_state)
    for train, held in splitter.split(np.zeros(len(is_good)), is_good, groups):
        if is_good[train].any() and not is_good[train].all() and len(held):
            yield train, held
