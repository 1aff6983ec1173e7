"""Take metrics that were computed elsewhere: fields, numbers and, where they can be found, files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from django.db import models, transaction
from django.utils import timezone

from imaging.tables import MetricTable, TableError, TableProblem, read_metric_table
from labeling.models import Experiment, Image, ImageFile, Job, MetricSet, RefusedFile, User
from labeling.problems import BadValue
from labeling.services import audit
from labeling.services.embedding import after_measuring
from labeling.services.experiments import add_channels
from labeling.services.found_files import find_files, store_files
from labeling.services.ingest import check_source
from labeling.services.jobs import start_job
from labeling.services.measurements import carry_rows, equal_rows, store_measurements
from labeling.services.metric_sets import imported_metric_set
from labeling.services.table_places import match_images
from labeling.services.table_uploads import name_of, opened_upload

Progress = Callable[[int, int], None]
VERSION_LENGTH = 40
MOST_KEPT = 500  # problems kept for the page; the report counts them all
TOLD_AT_ONCE = 3
STORED_AT_ONCE = 20_000  # rows, for the progress


@dataclass
class ImportReport:
    """What one import did, for the person who asked."""

    table: str
    version: str = ""
    n_rows: int = 0
    n_metrics: int = 0
    n_new_images: int = 0
    n_added: int = 0
    n_known: int = 0
    n_changed: int = 0
    n_carried: int = 0
    n_failed: int = 0
    n_states: int = 0  # fields that became broken, or whole again
    n_files: int = 0
    n_problems: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    plates: list[str] = field(default_factory=list)

    def tell(self, problems: Sequence[TableProblem]) -> None:
        """Note what else could not be taken."""
        self.n_problems += len(problems)
        self.problems += [(problem.where(self.table), problem.reason) for problem in problems]

    @property
    def changed_nothing(self) -> bool:
        return not (self.n_added or self.n_changed or self.n_new_images or self.n_files or self.n_states)

    @property
    def summary(self) -> str:
        if self.changed_nothing and not self.n_known:
            parts = [f"Nothing of {self.table} could be taken."]
        elif self.changed_nothing:
            parts = [f"{self.table} changed nothing: its {self.n_known:,} fields are there already, number for number."]
        else:
            parts = [
                f"{self.table}: {self.n_metrics:,} metrics of {self.n_added + self.n_changed:,} fields taken "
                f"({self.version}), {self.n_new_images:,} new fields."
            ]
        if self.n_known and not self.changed_nothing:
            parts.append(f"{self.n_known:,} fields were there already with the same numbers.")
        if self.n_changed:
            parts.append(
                f"{self.n_changed:,} had other numbers before; the earlier ones are kept as a set of their own."
            )
        if self.n_carried:
            parts.append(f"{self.n_carried:,} fields of earlier tables were carried over.")
        if self.n_failed:
            parts.append(f"{self.n_failed:,} fields have no number and are listed as broken.")
        if self.n_files:
            parts.append(f"{self.n_files:,} image files were found.")
        if self.n_problems:
            parts.append(f"{self.n_problems:,} rows or cells could not be taken (see list).")
        return " ".join([*parts, *self.notes])


def import_metrics(
    experiment: Experiment,
    table: str,
    *,
    by: User,
    name: str = "",
    plate: str | None = None,
    images: str | None = None,
    progress: Progress | None = None,
) -> ImportReport:
    """Take the metrics of a CSV or Parquet at a path or URI; all of it or, when this is stopped, nothing.

    `name` is the table's for people, `plate` the barcode of all rows, `images` a folder in which the table's files
    are looked for by name. Rows are never edited: the same numbers change nothing, other numbers make a new metric
    set, which carries the fields the table does not mention. Raises BadValue when nothing can be read.
    """
    read = _read(experiment, table, name, plate)
    report = ImportReport(
        read.name,
        n_rows=read.n_rows,
        n_metrics=len(read.columns),
        n_problems=read.n_problems,
        problems=[(problem.where(read.name), problem.reason) for problem in read.problems],
        notes=list(read.notes),
        plates=sorted({place.plate for place in read.places}),
    )
    found = find_files(read, images)
    with transaction.atomic():
        # Another import or ingest of this experiment waits here, so that no field is made twice.
        Experiment.objects.select_for_update().get(pk=experiment.pk)
        if not ImageFile.objects.filter(image__experiment=experiment).exists():
            add_channels(experiment, read.channels)
        matched = match_images(experiment, read)
        report.tell(matched.problems)
        report.notes += [f"Plate {plate} is called {here} here." for plate, here in sorted(matched.renamed.items())]
        report.plates = sorted({matched.renamed.get(plate, plate) for plate in report.plates})
        report.n_new_images = matched.n_new
        has_numbers = np.isfinite(read.values).any(axis=1)
        _note_failures(experiment, read, matched.image_ids, has_numbers, report)
        rows = np.flatnonzero((matched.image_ids > 0) & has_numbers)
        _store_numbers(experiment, read, matched.image_ids[rows], read.values[rows], report, progress)
        report.n_files, more = store_files(experiment, found, matched.image_ids)
        report.notes += [*found.notes, *more]
        _store_problems(experiment, report)
        if not report.changed_nothing:
            audit.record("metrics.imported", experiment, by=by, new=_as_json(report, table))
    return report


def queue_import(
    experiment: Experiment,
    *,
    by: User,
    table: str = "",
    upload: str = "",
    plate: str | None = None,
    images: str | None = None,
) -> Job:
    """Have a table taken by the worker, files measured where there are any, and the experiment scored.

    `upload` is a table that was sent and kept. Raises BadValue for a place that is not open, or when no table is named.
    """
    table, images = table.strip(), (images or "").strip()
    if not upload:
        if not table:
            raise BadValue("Choose the table, or give the path or address where it is.")
        check_source(table)
    if images:
        check_source(images)
    given = {"table": "" if upload else table, "upload": upload, "plate": plate, "images": images}
    parameters = {key: value for key, value in given.items() if value}
    # What needs files says that there are none, and lets the line go on.
    followed_by = [Job.Kind.MEASURE, *after_measuring()]
    return start_job(Job.Kind.IMPORT, experiment, by=by, parameters=parameters, followed_by=followed_by)


def run_import(job: Job, progress: Progress) -> str:
    """Do what `queue_import` asked for; returns the summary with the first problems, the page of files has all."""
    given = dict(job.parameters)
    upload = given.pop("upload", "")
    if upload:
        with opened_upload(upload) as path:
            report = import_metrics(
                job.experiment, path, by=job.requested_by, name=name_of(upload), progress=progress, **given
            )
    else:
        report = import_metrics(job.experiment, by=job.requested_by, progress=progress, **given)
    told = [f"{where}: {reason}" for where, reason in report.problems[:TOLD_AT_ONCE]]
    return " ".join([report.summary, *told])


def _read(experiment: Experiment, table: str, name: str, plate: str | None) -> MetricTable:
    barcodes = list(experiment.plates.values_list("barcode", flat=True)[:2])
    try:
        return read_metric_table(
            table, name=name, plate=plate or None, default_plate=barcodes[0] if len(barcodes) == 1 else None
        )
    except TableError as problem:
        raise BadValue(str(problem)) from problem


def _store_numbers(
    experiment: Experiment,
    read: MetricTable,
    image_ids: np.ndarray,
    values: np.ndarray,
    report: ImportReport,
    progress: Progress | None,
) -> None:
    """Add to the newest imported set what it does not know; where it says something else, begin a new one."""
    old, version = imported_metric_set(experiment), f"imported: {read.origin}"[:VERSION_LENGTH]
    report.version = old.version if old is not None and not len(image_ids) else version
    if not len(image_ids):
        return
    columns = list(read.columns)
    is_known, is_equal = np.zeros(len(image_ids), bool), np.zeros(len(image_ids), bool)
    if old is not None:
        fits = set(columns) <= set(old.columns)
        in_old_order = _in_order(values, columns, old.columns)
        is_known, is_equal = equal_rows(old, image_ids, in_old_order)
        is_same_version = old.version == version or is_known.all()
        if fits and is_same_version and not (is_known & ~is_equal).any():
            report.version, report.n_known = old.version, int(is_known.sum())
            report.n_added = len(image_ids) - report.n_known
            _store(old, image_ids[~is_known], in_old_order[~is_known], progress)
            return
        is_equal &= fits
        more = [column for column in columns if column not in old.columns]
        is_narrower = len(columns) - len(more) < len(old.columns)
        comes_along = old.measurements.count() > is_known.sum()  # what the table does not mention
        if comes_along and (more or is_narrower):
            report.notes.append("The table before had other columns; each field has the metrics of its own table.")
        if comes_along or not is_narrower:
            columns, values = [*old.columns, *more], _in_order(values, columns, [*old.columns, *more])
    report.n_known, report.n_changed = int(is_equal.sum()), int((is_known & ~is_equal).sum())
    report.n_added = len(image_ids) - report.n_known - report.n_changed
    new = _new_set(experiment, read, version, columns)
    if old is not None and columns[: len(old.columns)] == old.columns:
        report.n_carried = carry_rows(old, new, except_images=image_ids)
        if report.n_carried and old.version != version:
            report.notes.append(f"The fields carried over keep their numbers of another version ({old.version}).")
    _store(new, image_ids, values, progress)


def _store(metric_set: MetricSet, image_ids: np.ndarray, values: np.ndarray, progress: Progress | None) -> None:
    """Write the rows in pieces, telling how far it is."""
    for start in range(0, len(image_ids), STORED_AT_ONCE):
        part = slice(start, start + STORED_AT_ONCE)
        store_measurements(metric_set, image_ids[part], values[part])
        if progress:
            progress(min(part.stop, len(image_ids)), len(image_ids))


def _in_order(values: np.ndarray, columns: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    """The columns in another order; NaN for those that are not there."""
    position = {column: n for n, column in enumerate(columns)}
    ordered = np.full((len(values), len(wanted)), np.nan, np.float32)
    for n, column in enumerate(wanted):
        if column in position:
            ordered[:, n] = values[:, position[column]]
    return ordered


def _new_set(experiment: Experiment, read: MetricTable, version: str, columns: list[str]) -> MetricSet:
    last = experiment.metric_sets.exclude(source="").aggregate(last=models.Max("revision"))["last"] or 0
    return MetricSet.objects.create(
        experiment=experiment,
        version=version,
        columns=columns,
        source=read.name,
        revision=last + 1,
    )


def _note_failures(
    experiment: Experiment,
    read: MetricTable,
    image_ids: np.ndarray,
    has_numbers: np.ndarray,
    report: ImportReport,
) -> None:
    """Fields without numbers are broken, with the table's reason; one that has numbers now is whole again.

    Images that have files here keep the state that measuring gave them, and those that have numbers keep these: that
    the table has none is told as a problem of its row.
    """
    rows = {int(image_ids[n]): int(n) for n in np.flatnonzero((image_ids > 0) & ~has_numbers)}
    reasons = {pk: read.failures[n] or f"{read.name} has no number for it." for pk, n in rows.items()}
    with_numbers = set(image_ids[(image_ids > 0) & has_numbers].tolist())
    changed = []
    mine = experiment.images.exclude(models.Exists(ImageFile.objects.filter(image=models.OuterRef("pk"))))
    for image in mine.filter(state=Image.State.FAILED):
        if image.pk in with_numbers:
            image.state, image.problem = Image.State.READY, ""
            changed.append(image)
    for image in mine.filter(pk__in=reasons, measurements__isnull=True).exclude(state=Image.State.INCOMPLETE):
        if image.problem != reasons[image.pk]:
            image.state, image.problem = Image.State.FAILED, reasons[image.pk]
            changed.append(image)
    Image.objects.bulk_update(changed, ["state", "problem"], batch_size=1000)
    broken = set(experiment.images.broken().filter(pk__in=reasons).values_list("pk", flat=True))
    report.n_failed, report.n_states = len(broken), len(changed)
    report.tell(
        [
            TableProblem(
                read.rows[n], "", f"no number ({reasons[pk]}); what is known of this field here stays as it is"
            )
            for pk, n in rows.items()
            if pk not in broken
        ]
    )


def _store_problems(experiment: Experiment, report: ImportReport) -> None:
    """Keep what could not be taken, for the page of files; what an earlier import of this table said is past."""
    mine = experiment.refused_files.filter(resolved_at__isnull=True).filter(
        models.Q(uri=report.table) | models.Q(uri__startswith=f"{report.table}, ")
    )
    told = dict(report.problems[:MOST_KEPT])
    still_open = {one.uri: one.reason for one in mine}
    if still_open == told:
        return
    mine.update(resolved_at=timezone.now())
    RefusedFile.objects.bulk_create(
        RefusedFile(experiment=experiment, uri=where, reason=reason) for where, reason in told.items()
    )


def _as_json(report: ImportReport, table: str) -> dict[str, object]:
    return {
        "table": table,
        "name": report.table,
        "metric_set": report.version,
        "metrics": report.n_metrics,
        "rows": report.n_rows,
        "new_fields": report.n_new_images,
        "added": report.n_added,
        "changed": report.n_changed,
        "carried": report.n_carried,
        "files": report.n_files,
        "problems": report.n_problems,
    }
