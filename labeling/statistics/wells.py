"""The wells of a plate as arrays."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class PlateCounts:
    """How many fields each well of a plate has and how many of them fall out.

    All arrays have one entry a well (W,): rows and columns count from 1. `lost_by_site` holds, by site, the fields
    of that site that exist and that are lost (W,), 0 or more.
    """

    barcode: str
    n_rows: int
    n_columns: int
    rows: np.ndarray
    columns: np.ndarray
    n_fields: np.ndarray
    n_lost: np.ndarray
    lost_by_site: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def share_lost(self, is_in: np.ndarray) -> float:
        """Share (0 to 1) of the fields of the marked wells that fall out."""
        n = int(self.n_fields[is_in].sum())
        return float(self.n_lost[is_in].sum() / n) if n else 0.0
