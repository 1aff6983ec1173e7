"""What a simulated plate holds: treatments, densities, and which fields are bad. No pixels here."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from imaging.simulate.population import PHENOTYPES
from imaging.simulate.randomness import generator

# Share of the bad fields that each kind takes: focus and debris lead on real plates too.
DEFECTS = {
    "debris": 0.20,
    "fibre": 0.14,
    "dried": 0.09,
    "bubble": 0.09,
    "blur": 0.24,
    "saturated": 0.10,
    "empty": 0.07,
    "uneven light": 0.07,
}
WHOLE_WELL_DEFECTS = ("dried", "empty", "uneven light")
CHANNELS = ("DNA", "ER", "AGP")
# Reference compounds of the two positive controls; the third class, M0, is the solvent.
CONTROLS = {"M0": ("DMSO", ""), "M1": ("REF-1", "large_nuclei"), "M2": ("REF-2", "punctate_er")}
CONTROL_CONCENTRATION_UM = 10.0
CONCENTRATIONS_UM = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
# One compound in this many has a phenotype; most compounds of a real library do nothing visible.
COMPOUNDS_PER_ACTIVE = 3
# Below this effect nobody could tell the well from DMSO, so the truth names no phenotype.
VISIBLE_EFFECT = 0.2


@dataclass(frozen=True)
class PlateRecipe:
    """Everything that decides the pixels of a plate. Plates of one `seed` share treatments and camera;
    `barcode` decides cells, light and defects."""

    barcode: str = "01"
    seed: int = 2026
    rows: int = 16
    columns: int = 24
    sites: int = 2
    size: tuple[int, int] = (480, 480)  # height, width; one pixel is about 0.65 um
    channels: tuple[str, ...] = CHANNELS
    bad_share: float = 0.11
    ceiling: int = 65535  # brightest value of the camera: 4095 for 12 bits
    gain: float = 1.0  # batch effect: everything on this plate is brighter or dimmer
    density: float = 1.0  # cells against the usual 58 or so in 480 x 480 pixels

    def __post_init__(self) -> None:
        if not self.barcode or set(self.barcode) & set("_/\\"):
            raise ValueError(f"The barcode is part of file names and cannot be {self.barcode!r}.")
        if not 1 <= self.rows <= 32 or not 1 <= self.columns <= 48 or self.sites < 1:
            raise ValueError("A plate has 1 to 32 rows, 1 to 48 columns and at least one site.")
        if unknown := set(self.channels) - set(CHANNELS):
            raise ValueError(f"Unknown channels {sorted(unknown)}; known are {CHANNELS}.")
        if min(self.size) < 32 or not 0 <= self.bad_share <= 1 or not 255 <= self.ceiling <= 65535:
            raise ValueError("Fields are at least 32 pixels wide, shares 0 to 1, ceilings 255 to 65535.")


@dataclass(frozen=True)
class FieldPlan:
    """The truth about one field. Rows and columns count from 1; severity runs from 0, subtle, to 1, gross."""

    plate: str
    well: str  # B07
    row: int
    column: int
    site: int
    role: str
    control_class: str
    compound: str
    concentration_um: float
    phenotype: str  # "" when nothing can be seen
    effect: float  # 0 to 1, strength of the phenotype
    density: float  # cells against the usual number, before the phenotype
    is_bad: bool = False
    defect: str = ""
    severity: float = 0.0
    defect_channels: str = ""  # the channels that suffer, joined by "+"

    @property
    def pristine(self) -> FieldPlan:
        """The same field as it would look without its defect."""
        return replace(self, is_bad=False, defect="", severity=0.0, defect_channels="")


@dataclass(frozen=True)
class Treatment:
    role: str
    control_class: str
    compound: str
    concentration_um: float
    phenotype: str = ""
    effect: float = 0.0


def plan_plate(recipe: PlateRecipe) -> list[FieldPlan]:
    """The truth of every field, in well then site order."""
    treatments = _treatments(recipe)
    fields = []
    for row in range(1, recipe.rows + 1):
        for column in range(1, recipe.columns + 1):
            treatment = treatments[row, column]
            density = _density(recipe, row, column)
            fields += [
                FieldPlan(
                    plate=recipe.barcode,
                    well=f"{row_name(row)}{column:02d}",
                    row=row,
                    column=column,
                    site=site,
                    role=treatment.role,
                    control_class=treatment.control_class,
                    compound=treatment.compound,
                    concentration_um=treatment.concentration_um,
                    phenotype=treatment.phenotype if treatment.effect >= VISIBLE_EFFECT else "",
                    effect=treatment.effect if treatment.effect >= VISIBLE_EFFECT else 0.0,
                    density=density,
                )
                for site in range(1, recipe.sites + 1)
            ]
    return _with_defects(recipe, fields)


def row_name(row: int) -> str:
    """1 is A, 27 is AA."""
    return chr(64 + row) if row <= 26 else "A" + chr(64 + row - 26)


def _treatments(recipe: PlateRecipe) -> dict[tuple[int, int], Treatment]:
    """Controls in the outer columns, compounds in doses at random places elsewhere."""
    rng = generator(recipe.seed, "layout", recipe.rows, recipe.columns)
    n_edge = 2 if recipe.columns >= 8 else 1 if recipe.columns >= 3 else 0
    inner = range(1 + n_edge, recipe.columns - n_edge + 1)
    samples = [(row, column) for row in range(1, recipe.rows + 1) for column in inner]
    n_compounds = -(-len(samples) // len(CONCENTRATIONS_UM))
    compounds = [_dose_series(rng, number) for number in range(n_compounds)]
    series = [dose for compound in compounds for dose in compound]
    order = rng.permutation(len(series))[: len(samples)]
    placed = {place: series[index] for place, index in zip(samples, order, strict=True)}
    for row in range(1, recipe.rows + 1):
        for column in set(range(1, recipe.columns + 1)) - set(inner):
            placed[row, column] = _control(row, column)
    return placed


def _control(row: int, column: int) -> Treatment:
    """Half of the controls are solvent, the rest alternate between the two references."""
    control_class = ("M0", "M1", "M0", "M2")[(row + 2 * column + column // 2) % 4]
    compound, phenotype = CONTROLS[control_class]
    concentration = CONTROL_CONCENTRATION_UM if phenotype else 0.0
    return Treatment("control", control_class, compound, concentration, phenotype, 0.9 if phenotype else 0.0)


def _dose_series(rng: Generator, number: int) -> list[Treatment]:
    phenotype, half_effect_um = "", float(10 ** rng.uniform(-1, 0.8))
    if number % COMPOUNDS_PER_ACTIVE == 0:
        phenotype = list(PHENOTYPES)[number // COMPOUNDS_PER_ACTIVE % len(PHENOTYPES)]
    return [
        Treatment(
            "sample",
            "",
            f"CPD-{number + 1:04d}",
            dose,
            phenotype,
            round(dose**1.5 / (dose**1.5 + half_effect_um**1.5), 3) if phenotype else 0.0,
        )
        for dose in CONCENTRATIONS_UM
    ]


def _density(recipe: PlateRecipe, row: int, column: int) -> float:
    """Uneven seeding: every well differs, one side of the plate is fuller, and the rim loses cells."""
    rng = generator(recipe.seed, recipe.barcode, "density", row, column)
    drift = 1 + 0.12 * (column / recipe.columns - 0.5)
    at_rim = row in (1, recipe.rows) or column in (1, recipe.columns)
    return round(float(recipe.density * drift * (0.85 if at_rim else 1) * rng.lognormal(0, 0.18)), 3)


def _with_defects(recipe: PlateRecipe, fields: list[FieldPlan]) -> list[FieldPlan]:
    """Spoil `bad_share` of the fields: whole wells first, then single fields of the wells that are left."""
    rng = generator(recipe.seed, recipe.barcode, "defects")
    counts = _defect_counts(round(recipe.bad_share * len(fields)), recipe.sites)
    planned = list(fields)
    free = list(range(0, len(fields), recipe.sites))  # the first field of each well
    for kind in WHOLE_WELL_DEFECTS:
        # Wells at the rim dry out first.
        weights = np.array([4.0 if kind == "dried" and _at_rim(recipe, fields[i]) else 1.0 for i in free])
        n_wells = min(counts[kind] // recipe.sites, len(free))
        if not n_wells:
            continue
        for start in rng.choice(free, n_wells, replace=False, p=weights / weights.sum()):
            severity = _severity(rng)
            for index in range(start, start + recipe.sites):
                wobble = float(rng.uniform(-0.05, 0.05))
                planned[index] = _spoil(recipe, rng, fields[index], kind, severity + wobble)
            free.remove(int(start))
    singles = [start + site for start in free for site in range(recipe.sites)]
    kinds = [kind for kind, n in counts.items() if kind not in WHOLE_WELL_DEFECTS for _ in range(n)]
    for index, kind in zip(rng.permutation(singles), kinds, strict=False):
        planned[index] = _spoil(recipe, rng, fields[index], kind, _severity(rng))
    return planned


def _defect_counts(n_bad: int, sites: int) -> dict[str, int]:
    """Fields of each kind, `n_bad` in all. Whole-well kinds come in whole wells; every kind appears while
    there is room for it."""
    counts = dict.fromkeys(DEFECTS, 0)
    for _ in range(n_bad):
        done = max(1, sum(counts.values()))
        left = n_bad - sum(counts.values())
        steps = {kind: sites if kind in WHOLE_WELL_DEFECTS else 1 for kind in DEFECTS}
        fitting = [kind for kind in DEFECTS if steps[kind] <= left]
        if not fitting:
            break
        # The kind furthest behind its share; an absent kind is always further behind than a present one.
        kind = max(fitting, key=lambda kind: (counts[kind] == 0, DEFECTS[kind] - counts[kind] / done))
        counts[kind] += steps[kind]
    return counts


def _at_rim(recipe: PlateRecipe, field: FieldPlan) -> bool:
    return field.row in (1, recipe.rows) or field.column in (1, recipe.columns)


def _severity(rng: Generator) -> float:
    return 0.03 + 0.97 * float(rng.beta(1.3, 1.2))


def _spoil(recipe: PlateRecipe, rng: Generator, field: FieldPlan, kind: str, severity: float) -> FieldPlan:
    channels = recipe.channels
    # A filter wheel can miss focus, and an exposure can be wrong, in one channel only.
    if kind in ("blur", "saturated") and rng.random() < 0.4:
        channels = (str(rng.choice(recipe.channels)),)
    severity = round(min(1.0, max(0.02, severity)), 3)
    return replace(field, is_bad=True, defect=kind, severity=severity, defect_channels="+".join(channels))
