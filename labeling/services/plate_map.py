"""The plates of an experiment, well by well: what falls out, where, and how wells compare."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Avg, Count, Max

from imaging.wells import WellPosition
from labeling.models import (
    Experiment,
    Image,
    Label,
    Measurement,
    MetricSet,
    Plate,
    QCSet,
    QCSetImage,
    Score,
    ScoreRun,
    Verdict,
    Well,
)
from labeling.services.cutoffs import AUTOMATIC
from labeling.services.image_facts import Basis
from labeling.services.rules import conditions_of, ids_breaking
from labeling.services.run_tables import run_table
from labeling.services.scores import scores_of
from labeling.statistics.guard import LosingClass, PlateOfClasses, losing_classes
from labeling.statistics.patterns import Pattern, find_patterns
from labeling.statistics.wells import PlateCounts

CONTROL_CLASS = "control class"
# Fields lost, by well and site.
Losses = Mapping[tuple[int, int], int]


def class_in(name: str, control_class: str, treatment: Mapping[str, object]) -> str:
    """What a well holds in one respect: its control class, or its value in a treatment field; empty where nothing."""
    value = control_class if name == CONTROL_CLASS else treatment.get(name)
    return "" if value in (None, "") else str(value)


@dataclass(frozen=True)
class WellOnMap:
    """One well: its place, what is in it, its fields, and how many of them fall out.

    `fields` and `lost` hold numbers by site (S,), in the order of the map's sites.
    """

    pk: int
    row: int
    column: int
    name: str
    role: str
    control_class: str
    treatment: Mapping[str, object]
    fields: np.ndarray
    lost: np.ndarray
    n_fields: int
    n_lost: int

    @property
    def share_lost(self) -> float | None:
        return self.n_lost / self.n_fields if self.n_fields else None

    def class_in(self, name: str) -> str:
        """The well's control class, or its value in a treatment field; empty where it has none."""
        return class_in(name, self.control_class, self.treatment)


@dataclass(frozen=True)
class PlateOnMap:
    """A plate with those of its wells that hold images, in row order."""

    plate: Plate
    wells: list[WellOnMap] = field(default_factory=list)

    @property
    def filled(self) -> list[WellOnMap]:
        """The wells that should hold cells, for statistics: an empty well is lost by design."""
        return [well for well in self.wells if well.role != Well.Role.EMPTY and well.n_fields]

    def counts(self, sites: Sequence[int]) -> PlateCounts:
        wells = self.filled
        there, lost = (np.array([getattr(well, name) for well in wells]) for name in ("fields", "lost"))
        by_site = {site: (there[:, n], lost[:, n]) for n, site in enumerate(sites) if len(wells) and there[:, n].any()}
        return PlateCounts(
            self.plate.barcode,
            self.plate.n_rows,
            self.plate.n_columns,
            np.array([well.row for well in wells], int),
            np.array([well.column for well in wells], int),
            np.array([well.n_fields for well in wells], int),
            np.array([well.n_lost for well in wells], int),
            by_site,
        )

    def with_classes(self, counts: PlateCounts, fields: Iterable[str]) -> PlateOfClasses:
        classes = {name: np.array([well.class_in(name) for well in self.filled], object) for name in fields}
        return PlateOfClasses(counts, classes)


@dataclass(frozen=True)
class PlateMap:
    """All plates of an experiment, what falls out of them, and what people should look at."""

    plates: list[PlateOnMap]
    sites: tuple[int, ...]

    @property
    def wells(self) -> list[WellOnMap]:
        return [well for plate in self.plates for well in plate.wells]

    def class_fields(self) -> list[str]:
        """Control class and treatment fields that tell wells apart."""
        treatments = sorted({name for well in self.wells for name in well.treatment})
        return [name for name in (CONTROL_CLASS, *treatments) if len({well.class_in(name) for well in self.wells}) > 1]

    @cached_property
    def counts(self) -> list[PlateCounts]:
        return [plate.counts(self.sites) for plate in self.plates]

    def patterns(self) -> list[Pattern]:
        return find_patterns(self.counts)

    def losing_classes(self) -> list[LosingClass]:
        fields = self.class_fields()
        return losing_classes(
            [plate.with_classes(counts, fields) for plate, counts in zip(self.plates, self.counts, strict=True)]
        )


def map_of(experiment: Experiment, losses: Losses) -> PlateMap:
    """The plates with those of their wells that hold images, and how many fields of each are lost."""
    sites, fields = fields_by_well(experiment)
    lost = _by_well_and_site(losses, sites)
    plates = {plate.pk: PlateOnMap(plate) for plate in experiment.plates.order_by("barcode")}
    wells = list(
        Well.objects.filter(plate__experiment=experiment)
        .order_by("plate", "row", "column")
        .values_list("plate", "pk", "row", "column", "role", "control_class", "treatment")
    )
    nothing = np.zeros(len(sites), np.int64)
    there, gone = (np.array([by_well.get(pk, nothing) for _, pk, *_ in wells]) for by_well in (fields, lost))
    n_fields, n_lost = (numbers.sum(axis=1).tolist() if wells else [] for numbers in (there, gone))
    for n, (plate, pk, row, column, *content) in enumerate(wells):
        name = WellPosition(row, column).name
        plates[plate].wells.append(
            WellOnMap(pk, row, column, name, *content, there[n], gone[n], n_fields[n], n_lost[n])
        )
    return PlateMap([plate for plate in plates.values() if plate.wells], sites)


def fields_by_well(experiment: Experiment) -> tuple[tuple[int, ...], Mapping[int, np.ndarray]]:
    """The experiment's sites, and by well how many whole images there are of each (S,); empty wells are missing.

    Images are never moved to another well, so how many there are, the newest, and those that are broken name them all.
    """
    images = experiment.images.order_by()
    broken = images.exclude(state=Image.State.READY).values_list("pk", flat=True)
    there = images.aggregate(n=Count("pk"), newest=Max("pk"))
    return _fields_by_well(experiment.pk, there["n"], there["newest"], tuple(sorted(broken)))


@lru_cache(maxsize=8)
def _fields_by_well(
    experiment_id: int, n: int, newest: int, broken: tuple[int, ...]
) -> tuple[tuple[int, ...], Mapping[int, np.ndarray]]:
    ready = Image.objects.filter(experiment=experiment_id, state=Image.State.READY).order_by()
    found = dict(ready.values_list("well").annotate(all_sites=ArrayAgg("site")))
    sites = tuple(sorted({site for all_sites in found.values() for site in all_sites}))
    return sites, _by_well_and_site(
        Counter((well, site) for well, all_sites in found.items() for site in all_sites), sites
    )


def _by_well_and_site(numbers: Losses, sites: Sequence[int]) -> dict[int, np.ndarray]:
    """By well, one number a site (S,); those without any are missing."""
    position = {site: n for n, site in enumerate(sites)}
    by_well: dict[int, np.ndarray] = {}
    for (well_id, site), n in numbers.items():
        if site in position:
            if well_id not in by_well:
                by_well[well_id] = np.zeros(len(sites), np.int64)
            by_well[well_id][position[site]] = n
    return by_well


def losses_by_cutoff(experiment: Experiment, basis: Basis, value: float | None = None) -> Losses:
    """Fields that fall out by a cutoff and the labels: the one given, else the saved one, else the automatic one."""
    run = basis.run
    if run is None:
        return {}
    if value is None:
        value = AUTOMATIC[run.kind] if basis.cutoff is None else basis.cutoff.value
    below = Score.objects.filter(run=run, score__lt=value, image__state=Image.State.READY)
    losses = _counted(below.values_list("well_id", "image__site"))
    broken = _breaking_conditions(basis, run)
    above = Score.objects.filter(run=run, score__gte=value, image__in=broken, image__state=Image.State.READY)
    losses.update(_counted(above.values_list("well_id", "image__site")) if broken else {})
    for place, change in _decided_by_hand(experiment, run, value, set(broken)):
        losses[place] += change
    return losses


def losses_of_set(qc_set: QCSet) -> Losses:
    """Fields that a QC set leaves out by score or label; broken ones are nobody's choice."""
    out = qc_set.decisions.filter(kept=False).exclude(decided_by=QCSetImage.DecidedBy.ERROR)
    return _counted(out.values_list("image__well_id", "image__site"))


def warnings_of(plate_map: PlateMap) -> list[str]:
    """What to look at before signing, in sentences: classes that lose far more than others, and patterns."""
    classes = [
        f"{one} A strange phenotype is not a bad image: look at these fields." for one in plate_map.losing_classes()
    ]
    return classes + [str(pattern) for pattern in plate_map.patterns()]


def mean_scores(run: ScoreRun) -> dict[int, float]:
    """Mean score by well."""
    rows = Score.objects.filter(run=run).order_by().values_list("well_id").annotate(mean=Avg("score"))
    return dict(rows)


def mean_metric(metric_set: MetricSet, column: str) -> dict[int, float]:
    """Mean of a metric by well; wells where it is undefined in all fields are missing.

    Raises ValueError for a column the set does not have.
    """
    return _mean_metric(metric_set.pk, metric_set.columns.index(column), metric_set.measurements.count())


def labels_by_well(experiment: Experiment) -> dict[int, Counter[str]]:
    """How many fields of each well carry which verdict."""
    found: dict[int, Counter[str]] = defaultdict(Counter)
    for well_id, verdict in _labels(experiment).values_list("image__well_id", "verdict"):
        found[well_id][verdict] += 1
    return found


@lru_cache(maxsize=32)  # measurements are only added: their number names what was averaged
def _mean_metric(metric_set_id: int, position: int, n_measured: int) -> dict[int, float]:
    value = f"values__{position}"
    rows = (
        Measurement.objects.filter(metric_set=metric_set_id)
        .exclude(**{value: math.nan})
        .order_by()
        .values_list("image__well_id")
        .annotate(mean=Avg(value))
    )
    return dict(rows)


def _breaking_conditions(basis: Basis, run: ScoreRun) -> list[int]:
    """Images that the saved rule's conditions beside the score take out."""
    if basis.cutoff is None or basis.cutoff.run_id != run.pk:
        return []
    return ids_breaking(run.pk, conditions_of(basis.cutoff.conditions))


def _counted(rows: Iterable) -> Counter[tuple[int, int]]:
    return Counter({(well_id, site): n for well_id, site, n in rows.order_by().annotate(n=Count("pk"))})  # type: ignore[attr-defined]


def _labels(experiment: Experiment):
    in_force = Label.objects.filter(experiment=experiment).current()
    return Label.objects.filter(pk__in=in_force.values("pk")).exclude(verdict=Verdict.WITHDRAWN)


def _decided_by_hand(
    experiment: Experiment, run: ScoreRun, value: float, broken: set[int]
) -> list[tuple[tuple[int, int], int]]:
    """Where a label takes a field out that its score keeps (+1), or keeps one that they take out (-1)."""
    labels = list(
        _labels(experiment)
        .filter(verdict__in=(Verdict.GOOD, Verdict.BAD), image__state=Image.State.READY)
        .values_list("image_id", "image__well_id", "image__site", "verdict")
    )
    table = run_table(run.pk)
    rows = table.rows_of(np.array([pk for pk, *_ in labels], np.int64))
    scores = dict(zip(table.image_ids[rows].tolist(), scores_of(run.pk).ascending[rows].tolist(), strict=True))
    changes = []
    for image_id, well_id, site, verdict in labels:
        is_flagged = image_id in broken or (image_id in scores and scores[image_id] < value)
        if is_flagged != (verdict == Verdict.BAD):
            changes.append(((well_id, site), -1 if is_flagged else 1))
    return changes
