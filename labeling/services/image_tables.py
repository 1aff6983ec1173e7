"""All images of an experiment as columns of numbers: where each was taken, what its well holds, how it scored.

Galleries and lists filter and order with these arrays over every image, whether it was scored or not. A process keeps
them; two short queries tell whether images came in or a plate map changed since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from django.db import connection
from django.db.models import Case as SqlCase
from django.db.models import Count, Max, When
from django.db.models import Value as SqlValue
from django.db.models.fields import IntegerField

from labeling.models import Defect, Experiment, Image, Label, Verdict, Well
from labeling.services.binary_format import BIGINT, INTEGER
from labeling.services.binary_read import copy_out_whole
from labeling.services.plate_map import CONTROL_CLASS, class_in
from labeling.services.run_tables import metric_values, run_table
from labeling.services.scores import all_parts_of, scores_of

VERDICT_CODES = {verdict: code for code, verdict in enumerate(Verdict.values)}
# Any change to what is read of the wells changes this sum, whoever made it.
WELLS_MARK = """
    SELECT count(*), coalesce(sum(hashtextextended(
        (w.id, p.barcode, w."row", w."column", w.role, w.control_class, w.treatment)::text, 0)), 0)
    FROM labeling_well w JOIN labeling_plate p ON p.id = w.plate_id WHERE p.experiment_id = %s
"""


@dataclass(frozen=True, eq=False)
class WellColumns:
    """The wells of an experiment (W,), ids ascending; `plates` are indices into the barcodes, which are sorted."""

    ids: np.ndarray
    barcodes: tuple[str, ...]
    plates: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    roles: np.ndarray
    # By control class and treatment field what each well holds, as text; empty where nothing.
    classes: Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class ImageTable:
    """The images of an experiment (N,), ids ascending; `well_index` are indices into the wells."""

    image_ids: np.ndarray
    well_index: np.ndarray
    sites: np.ndarray
    timepoints: np.ndarray
    wells: WellColumns

    def rows_of(self, image_ids: np.ndarray) -> np.ndarray:
        """The rows of those images that are in the table."""
        if not len(self.image_ids):
            return np.empty(0, np.int64)
        found = np.minimum(np.searchsorted(self.image_ids, image_ids), len(self.image_ids) - 1)
        return found[self.image_ids[found] == image_ids]

    def marked(self, image_ids: np.ndarray) -> np.ndarray:
        """(N,) True for those images."""
        marks = np.zeros(len(self.image_ids), bool)
        marks[self.rows_of(image_ids)] = True
        return marks

    @cached_property
    def in_plate_order(self) -> np.ndarray:
        """(N,) rows by plate, then well by row and column, then site and time."""
        wells, at = self.wells, self.well_index
        return np.lexsort((self.timepoints, self.sites, wells.columns[at], wells.rows[at], wells.plates[at]))


def image_table(experiment: Experiment) -> ImageTable:
    """The table as it is now. Every image of a run that was read before is in it."""
    counted = Image.objects.of(experiment).aggregate(n=Count("pk"), last=Max("pk"))
    with connection.cursor() as cursor:
        cursor.execute(WELLS_MARK, [experiment.pk])
        wells_mark = cursor.fetchone()
    return _read_table(experiment.pk, tuple(counted.values()), wells_mark)


@lru_cache(maxsize=8)  # 200,000 images are 6 MB
def _read_table(experiment_id: int, images_mark: tuple, wells_mark: tuple) -> ImageTable:
    images = Image.objects.filter(experiment=experiment_id).order_by("id")
    found = copy_out_whole(
        images.values_list("id", "well_id", "site", "timepoint"),
        {"image": BIGINT, "well": BIGINT, "site": INTEGER, "timepoint": INTEGER},
    )
    wells = _read_wells(experiment_id)  # after the images: so that the well of each is there
    at = np.searchsorted(wells.ids, found["well"]).astype(np.int32)
    return ImageTable(found["image"], at, found["site"], found["timepoint"], wells)


def _read_wells(experiment_id: int) -> WellColumns:
    read = ("id", "plate__barcode", "row", "column", "role", "control_class", "treatment")
    wells = list(Well.objects.filter(plate__experiment=experiment_id).order_by("id").values_list(*read))
    ids, plates, rows, columns, roles, controls, treatments = zip(*wells, strict=True) if wells else ((),) * 7
    barcodes = tuple(sorted(set(plates)))
    place = {barcode: n for n, barcode in enumerate(barcodes)}
    names = [CONTROL_CLASS, *sorted({name for treatment in treatments for name in treatment})]
    described = list(zip(controls, treatments, strict=True))
    return WellColumns(
        np.array(ids, np.int64),
        barcodes,
        np.array([place[barcode] for barcode in plates], np.int64),
        np.array(rows, np.int64),
        np.array(columns, np.int64),
        np.array(roles, object),
        {name: np.array([class_in(name, *one) for one in described], object) for name in names},
    )


# --- the numbers of a run, for all images of the table -----------------------------------------------------


@lru_cache(maxsize=16)
def places_of(table: ImageTable, run_id: int) -> np.ndarray:
    """(R,) the row in the table of each row of a run."""
    return np.searchsorted(table.image_ids, run_table(run_id).image_ids)


def spread(table: ImageTable, run_id: int, values: np.ndarray) -> np.ndarray:
    """(N,) what is known of the rows of a run (R,), for the images of the table; NaN or False for the others."""
    spread_out = np.zeros(len(table.image_ids), bool)
    if values.dtype != bool:
        spread_out = np.full(len(table.image_ids), np.nan)
    spread_out[places_of(table, run_id)] = values
    return spread_out


@lru_cache(maxsize=16)
def score_column(table: ImageTable, run_id: int) -> np.ndarray:
    """(N,) scores, NaN where an image has none."""
    return spread(table, run_id, scores_of(run_id).ascending)


def metric_column(table: ImageTable, run_id: int, column: str, unit: str) -> np.ndarray:
    """(N,) one metric, NaN where it is undefined or the image is not in the run."""
    return spread(table, run_id, metric_values(run_id, column, unit))


def part_column(table: ImageTable, run_id: int, part: str) -> np.ndarray | None:
    """(N,) one part of blended scores, NaN where an image has none; None where a run has no parts."""
    found = all_parts_of(run_id)
    if found is None:
        return None
    image_ids, parts = found
    column = np.full(len(table.image_ids), np.nan)
    column[np.searchsorted(table.image_ids, image_ids)] = getattr(parts, part)
    return column


# --- what people said ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class LabelColumns:
    """The label in force of each labelled image (L,): its id, whose it is, its verdict and defects."""

    image_ids: np.ndarray
    label_ids: np.ndarray
    person_ids: np.ndarray
    verdicts: np.ndarray
    defects: np.ndarray  # a bit each, in the order of Defect
    last_id: int  # of all labels, also those that took one back

    def with_verdict(self, verdict: str) -> np.ndarray:
        """The images that are labelled so."""
        return self.image_ids[self.verdicts == VERDICT_CODES[verdict]]

    def with_defect(self, defect: str) -> np.ndarray:
        return self.image_ids[self.defects & _bit(defect) != 0]

    def by(self, person_id: int) -> np.ndarray:
        return self.image_ids[self.person_ids == person_id]


def labels_in_force(experiment: Experiment, *, until: int | None = None) -> LabelColumns:
    """In two queries, the second only when somebody said something since; with `until` as it was at that label."""
    return _read_labels(experiment.pk, until, _labels_mark(experiment))


def disputed_images(experiment: Experiment) -> np.ndarray:
    """The images on which the last words of two people, not counting what was taken back, differ."""
    return _read_disputed(experiment.pk, _labels_mark(experiment))


def _labels_mark(experiment: Experiment) -> tuple[int, int | None]:
    """Labels are only added: this changes with every one, in whatever order they arrive."""
    return tuple(Label.objects.filter(experiment=experiment).aggregate(n=Count("pk"), last=Max("pk")).values())


@lru_cache(maxsize=8)  # 200,000 labels are 6 MB
def _read_labels(experiment_id: int, until: int | None, mark: tuple[int, int | None]) -> LabelColumns:
    labels = Label.objects.filter(experiment=experiment_id)
    if until is not None:
        labels = labels.filter(pk__lte=until)
    bits = [
        SqlCase(When(defects__contains=[one], then=SqlValue(_bit(one))), default=SqlValue(0)) for one in Defect.values
    ]
    defects = sum(bits[1:], bits[0])
    found = copy_out_whole(
        labels.current().values_list("image_id", "id", "by_id", _verdict_code(), defects),
        {"image": BIGINT, "label": BIGINT, "person": BIGINT, "verdict": INTEGER, "defects": INTEGER},
    )
    given = found["verdict"] != VERDICT_CODES[Verdict.WITHDRAWN]
    return LabelColumns(*(column[given] for column in found.values()), int(found["label"].max(initial=0)))


@lru_cache(maxsize=8)
def _read_disputed(experiment_id: int, mark: tuple[int, int | None]) -> np.ndarray:
    said = Label.objects.filter(experiment=experiment_id, undoes=None, undone_by=None)
    found = copy_out_whole(
        said.order_by("image_id", "by_id", "id").values_list("image_id", "by_id", _verdict_code()),
        {"image": BIGINT, "person": BIGINT, "verdict": INTEGER},
    )
    image, person, verdict = found.values()
    is_last_word = np.ones(len(image), bool)
    is_last_word[:-1] = (image[1:] != image[:-1]) | (person[1:] != person[:-1])
    words = np.unique(np.stack([image[is_last_word], verdict[is_last_word]]), axis=1)
    images, n_words = np.unique(words[0], return_counts=True)
    return images[n_words > 1]


def _verdict_code() -> SqlCase:
    cases = [When(verdict=verdict, then=SqlValue(code)) for verdict, code in VERDICT_CODES.items()]
    return SqlCase(*cases, output_field=IntegerField())


def _bit(defect: str) -> int:
    return 1 << Defect.values.index(defect)
