"""Effects of position on a plate: edge, row, column, checkerboard and site.

A pattern says that something happened to the plate (evaporation, a clogged dispenser tip, a tilted stage), not
that each of its images is bad. It is named so that people look.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import false_discovery_control

from imaging.wells import row_letters
from labeling.statistics.draws import Draws, chance_of_more, sums_of_coins
from labeling.statistics.wells import PlateCounts

FALSE_DISCOVERIES = 0.05  # share of the named patterns that may be chance (Benjamini & Hochberg 1995)
FEWEST_WELLS = 3  # in a pattern, and outside it
# What is rarer than chance may still be too small to matter: this many points more, and twice as much.
LEAST_EXCESS = 0.03


@dataclass(frozen=True)
class Pattern:
    """Wells, or one site of all wells, that lose more fields than the rest of their plate."""

    barcode: str
    kind: str  # edge, row, column, checkerboard or site
    name: str
    share: float
    share_elsewhere: float
    chance: float  # of as much by chance, 0 to 1; adjusted for all places once they are compared

    def __str__(self) -> str:
        verb = "lose" if self.kind in ("edge", "checkerboard") else "loses"
        return (
            f"Plate {self.barcode}: {self.name} {verb} {100 * self.share:.0f} % of the fields, "
            f"the rest of the plate {100 * self.share_elsewhere:.0f} %."
        )


def find_patterns(plates: Sequence[PlateCounts]) -> list[Pattern]:
    """The patterns on these plates, most certain first; on random plates there is one at most in 5 % of trials."""
    suspects = [suspect for plate in plates for suspect in _suspects(plate)]
    if not suspects:
        return []
    adjusted = false_discovery_control([suspect.chance for suspect in suspects])
    found = [
        replace(suspect, chance=float(chance))
        for suspect, chance in zip(suspects, adjusted, strict=True)
        if chance <= FALSE_DISCOVERIES and matters(suspect.share, suspect.share_elsewhere)
    ]
    return sorted(_without_edge_twice(found), key=lambda pattern: pattern.chance)


def matters(share: float, share_elsewhere: float) -> bool:
    """Whether a difference is large enough to be spoken of."""
    return share >= share_elsewhere + LEAST_EXCESS and share >= 2 * share_elsewhere


def places_of(plate: PlateCounts) -> Iterator[tuple[str, str, np.ndarray]]:
    """Kind, name and wells (W,) of each place on a plate where an effect is known to sit."""
    rows, columns = plate.rows, plate.columns
    is_edge = (rows == 1) | (columns == 1) | (rows == plate.n_rows) | (columns == plate.n_columns)
    yield "edge", "the outermost wells", is_edge
    for row in np.unique(rows):
        yield "row", f"row {row_letters(int(row))}", rows == row
    for column in np.unique(columns):
        yield "column", f"column {column}", columns == column
    for parity, name in ((0, "every second well, from A01 on,"), (1, "every second well, from A02 on,")):
        yield "checkerboard", name, (rows + columns) % 2 == parity


def _suspects(plate: PlateCounts) -> Iterator[Pattern]:
    if not plate.n_lost.any():
        return
    draws = Draws(plate.n_lost)
    for kind, name, is_in in places_of(plate):
        if min(int(is_in.sum()), int((~is_in).sum())) >= FEWEST_WELLS:
            chance = draws.chance_of_more(is_in)
            yield Pattern(plate.barcode, kind, name, plate.share_lost(is_in), plate.share_lost(~is_in), chance)
    yield from _sites(plate)


def _sites(plate: PlateCounts) -> Iterator[Pattern]:
    """One site lost more often than its well's other sites: a well's lost fields could be any of its fields."""
    if len(plate.lost_by_site) < 2:
        return
    sums_by_wells: dict[bytes, np.ndarray] = {}  # most sites are in the same wells
    for site, (n_there, n_lost) in sorted(plate.lost_by_site.items()):
        has = (n_there == 1) & (plate.n_fields > 1)
        if has.sum() < FEWEST_WELLS:
            continue
        if (sums := sums_by_wells.get(has.tobytes())) is None:
            sums = sums_by_wells[has.tobytes()] = sums_of_coins(plate.n_lost[has] / plate.n_fields[has])
        n_site, n_others = int(n_lost[has].sum()), int((plate.n_lost - n_lost)[has].sum())
        share = n_site / int(has.sum())
        elsewhere = n_others / int((plate.n_fields[has] - 1).sum())
        yield Pattern(plate.barcode, "site", f"site {site}", share, elsewhere, chance_of_more(sums, n_site))


def _without_edge_twice(found: list[Pattern]) -> Iterator[Pattern]:
    """An edge effect is not told again for the rows and columns it is made of."""
    edges = {pattern.barcode: pattern for pattern in found if pattern.kind == "edge"}
    for pattern in found:
        edge = edges.get(pattern.barcode)
        if edge is None or pattern.kind not in ("row", "column") or pattern.share >= 1.5 * edge.share:
            yield pattern
