"""The biology guard: a treatment that loses far more fields than its plate mates may be biology, not bad images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import false_discovery_control

from labeling.statistics.draws import Draws, chance_of_more
from labeling.statistics.patterns import FALSE_DISCOVERIES, matters
from labeling.statistics.wells import PlateCounts


@dataclass(frozen=True)
class LosingClass:
    """A treatment or control class that loses far more fields than the other wells of its plates."""

    field: str
    value: str
    n_wells: int
    n_lost: int
    share: float
    share_elsewhere: float
    chance: float  # of as much by chance, 0 to 1; adjusted for all classes once they are compared

    def __str__(self) -> str:
        return (
            f"{self.field} {self.value} loses {100 * self.share:.0f} % of its fields ({self.n_lost:,} in "
            f"{self.n_wells:,} wells), the other wells of its plates {100 * self.share_elsewhere:.0f} %."
        )


@dataclass(frozen=True)
class PlateOfClasses:
    """A plate, and by field (compound, dose, control class) one value a well (W,), empty where a well has none."""

    counts: PlateCounts
    classes: Mapping[str, np.ndarray]


def losing_classes(plates: Sequence[PlateOfClasses]) -> list[LosingClass]:
    """Classes that lose more fields than chance over their plates' wells explains, most certain first.

    Wells are drawn anew within each plate, so that a bad plate accuses nobody. On random plates a class is named
    in at most 5 % of trials.
    """
    draws = [Draws(plate.counts.n_lost) for plate in plates]
    suspects = [
        suspect
        for field in sorted({field for plate in plates for field in plate.classes})
        for value in sorted({value for plate in plates for value in plate.classes.get(field, ()) if value})
        if (suspect := _judge(plates, draws, field, value)) is not None
    ]
    if not suspects:
        return []
    adjusted = false_discovery_control([suspect.chance for suspect in suspects])
    found = [
        replace(suspect, chance=float(chance))
        for suspect, chance in zip(suspects, adjusted, strict=True)
        if chance <= FALSE_DISCOVERIES and matters(suspect.share, suspect.share_elsewhere)
    ]
    return sorted(found, key=lambda one: one.chance)


def _judge(plates: Sequence[PlateOfClasses], draws: Sequence[Draws], field: str, value: str) -> LosingClass | None:
    """How a class fares over all its plates; None where it fills them, so that there is nothing to compare."""
    n_wells = n_lost = n_fields = n_lost_elsewhere = n_fields_elsewhere = 0
    sums, observed = np.ones(1), 0
    for plate, drawn in zip(plates, draws, strict=True):
        counts = plate.counts
        is_in = plate.classes[field] == value if field in plate.classes else np.zeros(len(counts.rows), bool)
        if not is_in.any() or is_in.all():
            continue
        step, on_plate = drawn.sums(int(is_in.sum()))
        sums = np.convolve(sums, _in_fields(on_plate, step))
        observed += int((counts.n_lost[is_in] // step).sum()) * step
        n_wells += int(is_in.sum())
        n_lost += int(counts.n_lost[is_in].sum())
        n_fields += int(counts.n_fields[is_in].sum())
        n_lost_elsewhere += int(counts.n_lost[~is_in].sum())
        n_fields_elsewhere += int(counts.n_fields[~is_in].sum())
    if not n_fields or not n_fields_elsewhere:
        return None
    share, elsewhere = n_lost / n_fields, n_lost_elsewhere / n_fields_elsewhere
    return LosingClass(field, value, n_wells, n_lost, share, elsewhere, chance_of_more(sums, observed))


def _in_fields(sums: np.ndarray, step: int) -> np.ndarray:
    """A distribution over steps as one over fields, so that plates with different steps can be added."""
    spread = np.zeros((len(sums) - 1) * step + 1)
    spread[::step] = sums
    return spread
