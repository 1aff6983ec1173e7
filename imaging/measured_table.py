"""A table of metrics from a source, without a database: for a node of a cluster or a step of a workflow.

The numbers are those the database would hold, bit for bit: 4-byte floats, the same assumed camera ceilings.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from imaging import calibration
from imaging.executor import run_in_chunks
from imaging.fields import SourceField, SourceFields
from imaging.measure import ChannelRecipe, Field, crashed_field, measure_fields, sample_fields
from imaging.metrics import CELLPROFILER, METRIC_SET_VERSION, Metric, metric_columns
from imaging.previews import DisplayRange

Progress = Callable[[int, int], None]
CHUNK = 8  # fields a process gets at a time: about a second of work
ROW_GROUP = 2000
NOT_SHOWN = DisplayRange(0, 1)


@dataclass(frozen=True)
class Place:
    """Where the work is done: processes of this computer, or a Dask cluster when its scheduler is named."""

    workers: int
    scheduler: str = ""


class Table:
    """The rows of a table while they are measured; values are on disk, so memory stays flat."""

    def __init__(self, source: SourceFields, folder: Path) -> None:
        self.source = source
        self.columns = metric_columns(source.channels)
        self.hashes = [""] * len(source.fields)
        self.problems = [field.problem for field in source.fields]
        shape = max(1, len(source.fields)), max(1, len(self.columns))
        self.values = np.memmap(folder / "values", np.float32, "w+", shape=shape)
        self.ceilings: list[int | None] = [None] * len(source.channels)
        # Under which ceiling each row was measured, 0 where none was known.
        self.measured_under = np.zeros((len(source.fields), len(source.channels)), np.int64)

    def measured(self) -> np.ndarray:
        """The rows that have values."""
        return np.flatnonzero([bool(found) for found in self.hashes])

    def position(self, metric: Metric, channel: str) -> int:
        """Where a metric of a channel is among the values."""
        return self.columns.index(metric.column(channel))


def measure_table(source: SourceFields, out: Path, *, place: Place, progress: Progress | None = None) -> list[str]:
    """Measure the fields of a source and write them as Parquet, one row a field; returns each row's problem or "".

    `out` is only there when all is done. ClusterProblem when the cluster cannot work.
    """
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as folder:
        table = Table(source, Path(folder))
        due = [number for number, field in enumerate(source.fields) if not field.problem]
        sample_ceilings(table, due, place)
        measure_rows(table, due, place, progress)
        while again := mismeasured(table):
            measure_rows(table, again, place, progress)
        part = Path(folder) / "part"
        write_parquet(table, part)
        os.replace(part, out)
        return table.problems


def sample_ceilings(table: Table, due: Sequence[int], place: Place) -> None:
    """Assume the ceilings that a few dozen fields show."""
    chosen = calibration.spread(due, calibration.SAMPLED_FIELDS)
    chunks = run_in_chunks(
        sample_fields,
        fields_at(table, chosen),
        workers=place.workers,
        chunk_size=4,
        when_crashed=lambda field: {},
        scheduler=place.scheduler,
    )
    samples = calibration.by_channel(field for chunk in chunks for field in chunk)
    for number, channel in enumerate(table.source.channels):
        if channel in samples:
            table.ceilings[number] = calibration.ceiling_of_samples(
                samples[channel], table.source.container_max[channel]
            )


def measure_rows(table: Table, rows: Sequence[int], place: Place, progress: Progress | None) -> None:
    """Measure these rows under the ceilings assumed now."""
    recipe = [
        ChannelRecipe(name, "", NOT_SHOWN, ceiling)
        for name, ceiling in zip(table.source.channels, table.ceilings, strict=True)
    ]
    under = [ceiling or 0 for ceiling in table.ceilings]
    n_done = 0
    for chunk in run_in_chunks(
        partial(measure_fields, recipe=recipe, with_thumbnails=False),
        fields_at(table, rows),
        workers=place.workers,
        chunk_size=CHUNK,
        when_crashed=crashed_field,
        scheduler=place.scheduler,
    ):
        for done in chunk:
            table.problems[done.key], table.hashes[done.key] = done.problem, done.content_hash
            if done.values is not None:
                table.values[done.key] = done.values
                table.measured_under[done.key] = under
        n_done += len(chunk)
        if progress:
            progress(n_done, len(rows))


def mismeasured(table: Table) -> list[int]:
    """Rows called saturated under a ceiling that proved too low, after raising it."""
    measured = table.measured()
    wrong: set[int] = set()
    for number, channel in enumerate(table.source.channels):
        if not len(measured):
            return []
        low, high = (table.values[measured, table.position(metric, channel)] for metric in calibration.EXTREMES)
        shares = zip(low.tolist(), high.tolist(), strict=True)
        ceiling = calibration.ceiling_of_shares(shares, table.source.container_max[channel])
        ceiling = max(ceiling, table.ceilings[number] or 0)
        table.ceilings[number] = ceiling
        under = table.measured_under[measured, number]
        saturated = table.values[measured, table.position(calibration.SATURATED, channel)] > 0
        wrong |= set(measured[saturated & (under > 0) & (under < ceiling)].tolist())
    return sorted(wrong)


def fields_at(table: Table, rows: Sequence[int]) -> Iterator[Field]:
    """What to read for each row."""
    return (Field(row, table.source.fields[row].files) for row in rows)


def write_parquet(table: Table, path: Path) -> None:
    """One row a field, in plate order; CellProfiler's metrics before cellqc's own; what is undefined is null."""
    is_parity = [column.startswith(f"{CELLPROFILER}_") for column in table.columns]
    order = [n for n, parity in enumerate(is_parity) if parity] + [
        n for n, parity in enumerate(is_parity) if not parity
    ]
    schema = pa.schema(
        [
            *[("plate", pa.string()), ("well", pa.string()), ("site", pa.int32()), ("timepoint", pa.int32())],
            *[("content_hash", pa.string()), ("error", pa.string())],
            *[(table.columns[number], pa.float32()) for number in order],
        ],
        metadata={"metric_set": METRIC_SET_VERSION, "channels": json.dumps(table.source.channels)},
    )
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        for start in range(0, len(table.source.fields), ROW_GROUP):
            stop = min(start + ROW_GROUP, len(table.source.fields))
            writer.write_batch(batch_of(table, start, stop, order, schema))


def batch_of(table: Table, start: int, stop: int, order: Sequence[int], schema: pa.Schema) -> pa.RecordBatch:
    """The rows from start to stop as the columns of the schema."""
    fields: list[SourceField] = table.source.fields[start:stop]
    hashes, problems = table.hashes[start:stop], table.problems[start:stop]
    values = np.array(table.values[start:stop])
    values[[not found for found in hashes]] = np.nan
    columns = [
        pa.array([field.plate for field in fields], pa.string()),
        pa.array([field.well.name for field in fields], pa.string()),
        pa.array([field.site for field in fields], pa.int32()),
        pa.array([field.timepoint for field in fields], pa.int32()),
        pa.array([found or None for found in hashes], pa.string()),
        pa.array([problem or None for problem in problems], pa.string()),
    ]
    columns += [pa.array(values[:, number], pa.float32(), from_pandas=True) for number in order]
    return pa.record_batch(columns, schema=schema)
