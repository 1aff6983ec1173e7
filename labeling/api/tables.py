"""Tables as files: CSV while it is made, Parquet in row groups; an experiment is never whole in memory."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator
from typing import Any

import polars
import pyarrow as pa
import pyarrow.parquet
from django.http import FileResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from labeling.services.exports import CSV, PARQUET, BatchTable, Table, check_format
from labeling.services.image_facts import in_batches

ROWS_A_PIECE = 500
ROWS_A_GROUP = 20_000


class AnyFormat(DefaultContentNegotiation):
    """`?format=` names the file; whatever the Accept header says, problems come as JSON."""

    def select_renderer(
        self, request: Request, renderers: list[BaseRenderer], format_suffix: Any = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type


def table_response(table: Table, kind: str) -> HttpResponseBase:
    """The table as a download; BadValue for another format than csv and parquet."""
    if check_format(kind, (CSV, PARQUET)) == PARQUET:
        return FileResponse(
            _parquet_file(table),
            as_attachment=True,
            filename=f"{table.name}.parquet",
            content_type="application/vnd.apache.parquet",
        )
    response = StreamingHttpResponse(_csv_pieces(table), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{table.name}.csv"'
    return response


class _Lines(list):
    """What the csv module writes to."""

    write = list.append


def _csv_pieces(table: Table) -> Iterator[str]:
    lines = _Lines()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(table.columns)
    yield lines.pop()
    if isinstance(table, BatchTable):
        yield from (polars.from_arrow(batch).write_csv(include_header=False) for batch in table.rows)
        return
    for rows in in_batches(table.rows, ROWS_A_PIECE):
        writer.writerows([_cell(value) for value in row] for row in rows)
        yield "".join(lines)
        lines.clear()


def _cell(value: object) -> object:
    """Nine digits tell any two 4-byte floats apart; yes and no are 1 and 0; None is written as nothing."""
    if isinstance(value, float):
        return f"{value:.9g}"
    return int(value) if isinstance(value, bool) else value


def _parquet_file(table: Table) -> Any:
    """An open temporary file at its start; it goes away when it is closed."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 (the response closes it)
    with pyarrow.parquet.ParquetWriter(file, table.schema) as writer:
        for batch in table.rows if isinstance(table, BatchTable) else _batches(table):
            writer.write_batch(batch)
    file.seek(0)
    return file


def _batches(table: Table) -> Iterator[pa.RecordBatch]:
    for rows in in_batches(table.rows, ROWS_A_GROUP):
        columns = zip(*rows, strict=True)
        arrays = [pa.array(column, kind) for column, kind in zip(columns, table.schema.types, strict=True)]
        yield pa.record_batch(arrays, schema=table.schema)
