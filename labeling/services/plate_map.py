"""The plates of an experiment, well by well: what falls out, where, and how wells compare."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Avg, Count, Q

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
    """One well: its place, what is in it, its fields by site, and how many of them fall out."""

    pk: int
    row: int
    column: int
    name: str
    role: str
    control_class: str
    treatment: Mapping[str, object]
    sites: Counter[int]
    n_lost: int

    @property
    def n_fields(self) -> int:
        return self.sites.total()

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

    def counts(self, losses: Losses) -> PlateCounts:
        """The wells that should hold cells, for statistics: an empty well is lost by design."""
        wells = [well for well in self.wells if well.role != Well.Role.EMPTY and well.n_fields]
        by_site = {
            site: (
                np.array([well.sites[site] for well in wells]),
                np.array([losses.get((well.pk, site), 0) for well in wells]),
            )
            for site in sorted({site for well in wells for site in well.sites})
        }
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

    def with_classes(self, losses: Losses, fields: Iterable[str]) -> PlateOfClasses:
        wells = [well for well in self.wells if well.role != Well.Role.EMPTY and well.n_fields]
        classes = {name: np.array([well.class_in(name) for well in wells], object) for name in fields}
        return PlateOfClasses(self.counts(losses), classes)


@dataclass(frozen=True)
class PlateMap:
    """All plates of an experiment, what falls out of them, and what people should look at."""

    plates: list[PlateOnMap]
    losses: Losses

    @property
    def wells(self) -> list[WellOnMap]:
        return [well for plate in self.plates for well in plate.wells]

    def class_fields(self) -> list[str]:
        """Control class and treatment fields that tell wells apart."""
        treatments = sorted({name for well in self.wells for name in well.treatment})
        return [name for name in (CONTROL_CLASS, *treatments) if len({well.class_in(name) for well in self.wells}) > 1]

    def patterns(self) -> list[Pattern]:
        return find_patterns([plate.counts(self.losses) for plate in self.plates])

    def losing_classes(self) -> list[LosingClass]:
        fields = self.class_fields()
        return losing_classes([plate.with_classes(self.losses, fields) for plate in self.plates])


def map_of(experiment: Experiment, losses: Losses) -> PlateMap:
    """The plates with their wells, in two queries."""
    lost: Counter[int] = Counter()
    for (well_id, _), n in losses.items():
        lost[well_id] += n
    plates = {plate.pk: PlateOnMap(plate) for plate in experiment.plates.order_by("barcode")}
    wells = (
        Well.objects.filter(plate__experiment=experiment)
        .annotate(sites=ArrayAgg("images__site", filter=Q(images__state=Image.State.READY), default=[]))
        .order_by("plate", "row", "column")
    )
    for well in wells:
        plates[well.plate_id].wells.append(
            WellOnMap(
                well.pk,
                well.row,
                well.column,
                well.name,
                well.role,
                well.control_class,
                well.treatment,
                Counter(well.sites),
                lost[well.pk],
            )
        )
    return PlateMap([plate for plate in plates.values() if plate.wells], losses)


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
    scores = dict(Score.objects.filter(run=run, image__in=[pk for pk, *_ in labels]).values_list("image_id", "score"))
    changes = []
    for image_id, well_id, site, verdict in labels:
        is_flagged = image_id in broken or (image_id in scores and scores[image_id] < value)
        if is_flagged != (verdict == Verdict.BAD):
            changes.append(((well_id, site), -1 if is_flagged else 1))
    return changes
