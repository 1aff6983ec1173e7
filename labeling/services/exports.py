"""Tables people take away: metrics, scores and signed QC sets."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from django.utils.text import slugify

from imaging.wells import WellPosition
from labeling.models import Experiment, Image, ImageFile, MetricSet, QCSet, User
from labeling.problems import BadValue, Conflict
from labeling.services import audit
from labeling.services.image_facts import all_facts, basis_of, in_batches
from labeling.services.manifests import csv_of
from labeling.services.measurements import metrics_of
from labeling.services.metric_sets import current_metric_set

BATCH = 2000
ARROW_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float32(), bool: pa.bool_()}
CSV, PARQUET, LOADDATA = "csv", "parquet", "loaddata"


@dataclass(frozen=True)
class Table:
    """Named, typed columns and rows that are made while they are read. None is a missing value."""

    name: str
    columns: dict[str, type]
    rows: Iterator[list[object]]

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([(name, ARROW_TYPES[kind]) for name, kind in self.columns.items()])


@dataclass(frozen=True)
class BatchTable(Table):
    """The same where `rows` are batches of the schema, column by column: for hundreds of columns of numbers."""

    rows: Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class ExportedFile:
    """A file to hand out, and the SHA-256 of the signed manifest it comes from."""

    name: str
    content: bytes
    content_type: str
    manifest_sha256: str


def check_format(chosen: str, known: tuple[str, ...]) -> str:
    if chosen not in known:
        raise BadValue(f"{chosen!r} is no format of this export; use {', '.join(known[:-1])} or {known[-1]}.")
    return chosen


def metrics_table(experiment: Experiment) -> BatchTable:
    """One row an Image in plate order: plate, well, site, the current metrics, timepoint.

    Raises Conflict before anything is measured.
    """
    metric_set = current_metric_set(experiment)
    if metric_set is None:
        raise Conflict(f"{experiment.name} has no metrics yet; measure it first.")
    columns = {"plate": str, "well": str, "site": int}
    columns |= dict.fromkeys(metric_set.columns, float) | {"timepoint": int}
    return BatchTable(f"{slugify(experiment.name)}-metrics", columns, _metric_batches(experiment, metric_set))


def scores_table(experiment: Experiment) -> Table:
    """One row an Image in plate order with its score, label and side of the saved cutoff.

    Raises Conflict before the first scoring.
    """
    basis = basis_of(experiment)
    if basis.run is None:
        raise Conflict(f"{experiment.name} has no score yet; score it first.")
    columns = {"plate": str, "well": str, "site": int, "image": int, "isolation_score": float}
    columns |= {"blended_score": float, "uncertainty": float, "verdict": str, "flagged": bool, "reason": str}
    columns |= {"timepoint": int}
    rows = (
        [
            facts.image.plate.barcode,
            facts.image.well.name,
            facts.image.site,
            facts.image.pk,
            facts.isolation_score,
            facts.blended_score,
            facts.uncertainty,
            facts.verdict,
            facts.flagged,
            facts.reason,
            facts.image.timepoint,
        ]
        for facts in all_facts(experiment, basis)
    )
    return Table(f"{slugify(experiment.name)}-scores", columns, rows)


def export_qc_set(qc_set: QCSet, *, by: User, kind: str) -> ExportedFile:
    """A signed set as `csv` (the signed bytes), `parquet` or `loaddata`; the audit notes who took it.

    Raises BadValue for another format, Conflict on a set nobody signed.
    """
    check_format(kind, (CSV, PARQUET, LOADDATA))
    if not qc_set.is_signed:
        raise Conflict(f"QC set {qc_set.number} is {qc_set.state}; only a signed set is exported.")
    manifest = csv_of(qc_set)
    make, ending, content_type = {
        CSV: (lambda *_: manifest, "csv", "text/csv; charset=utf-8"),
        PARQUET: (_as_parquet, "parquet", "application/vnd.apache.parquet"),
        LOADDATA: (_as_loaddata, "loaddata.csv", "text/csv; charset=utf-8"),
    }[kind]
    name = f"{slugify(qc_set.experiment.name)}-qc-set-{qc_set.number}-{qc_set.state}.{ending}"
    exported = ExportedFile(name, make(qc_set, manifest), content_type, qc_set.manifest_sha256)
    audit.record(
        "qc_set.exported",
        qc_set,
        by=by,
        new={"format": kind, "state": qc_set.state, "manifest_sha256": qc_set.manifest_sha256},
    )
    return exported


def _metric_batches(experiment: Experiment, metric_set: MetricSet) -> Iterator[pa.RecordBatch]:
    names = ["plate", "well", "site", *metric_set.columns, "timepoint"]
    images = Image.objects.of(experiment).in_plate_order()
    places = images.values_list("id", "plate__barcode", "well__row", "well__column", "site", "timepoint")
    for batch in in_batches(places.iterator(chunk_size=BATCH), BATCH):
        ids, plates, rows, columns, sites, timepoints = zip(*batch, strict=True)
        wells = [WellPosition(row, column).name for row, column in zip(rows, columns, strict=True)]
        values = metrics_of(metric_set, ids)
        metrics = [pa.array(column, mask=~np.isfinite(column)) for column in values.T]
        yield pa.record_batch(
            [pa.array(plates), pa.array(wells), pa.array(sites), *metrics, pa.array(timepoints)], names
        )


def _as_parquet(qc_set: QCSet, manifest: bytes) -> bytes:
    """The signed text with types; nothing is asked of the database again."""
    types = {name: pa.string() for name in manifest.split(b"\n", 1)[0].decode().split(",")}
    types |= dict.fromkeys(("site", "timepoint"), pa.int32()) | {"image": pa.int64(), "kept": pa.int8()}
    types |= dict.fromkeys(("isolation_score", "blended_score"), pa.float32())
    table = pyarrow.csv.read_csv(
        io.BytesIO(manifest),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(column_types=types, null_values=[""]),
    )
    facts = {"manifest_sha256": qc_set.manifest_sha256, "qc_set": str(qc_set), "state": qc_set.state}
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table.replace_schema_metadata(facts), buffer)
    return buffer.getvalue()


def _as_loaddata(qc_set: QCSet, manifest: bytes) -> bytes:
    """The kept images as CellProfiler's LoadData module reads them; frames only where a file has several."""
    channels = list(qc_set.experiment.channels.values_list("name", flat=True))
    stacked = ImageFile.objects.filter(image__experiment=qc_set.experiment, page__gt=0)
    pages = stacked.values_list("image", "channel__name", "page")
    frames = {(image, channel): page for image, channel, page in pages}
    kinds = ("FileName", "PathName", "Frame") if frames else ("FileName", "PathName")
    header = [f"Image_{kind}_{channel}" for channel in channels for kind in kinds]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*header, "Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_Timepoint"])
    n_kept = n_files = 0
    for row in csv.DictReader(io.StringIO(manifest.decode(), newline="")):
        if row["kept"] == "1":
            files = json.loads(row["files"])
            cells = []
            for channel in channels:
                folder, _, name = files.get(channel, "").rpartition("/")
                cells += [name, folder, frames.get((int(row["image"]), channel), 0)][: len(kinds)]
            n_kept, n_files = n_kept + 1, n_files + len(files)
            writer.writerow([*cells, row["plate"], row["well"], row["site"], row["timepoint"]])
    if n_kept and not n_files:
        raise Conflict("The kept fields have no image file here that CellProfiler could load; take CSV or Parquet.")
    return text.getvalue().encode()
