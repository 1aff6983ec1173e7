"""From a file, however it was saved, to batches of rows."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import polars as pl

from imaging.platemap import separator_of
from imaging.reading.storage import local_path, open_file
from imaging.tables.model import TableError

BATCH = 10_000  # rows at a time: 200 columns of text are then 70 MB
CHUNK = 1 << 22
LARGEST_HEADER = 1 << 22  # bytes; CellProfiler's widest tables have 200 kB
SURPLUS = "surplus"  # what a row has beyond the header
ROW = "__row_number__"
GZIP, PARQUET = b"\x1f\x8b", b"PAR1"
EXCEL = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


@dataclass(frozen=True)
class OpenTable:
    """A table that can be read in batches. Columns are called by their position: "0", "1", ...

    `facts` are what a Parquet file says of itself. `first_row` is the number people give the first row of data.
    """

    path: Path
    header: list[str]
    is_parquet: bool
    first_row: int
    separator: str = ","
    skip_lines: int = 0
    facts: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def batches(self) -> Iterator[pl.DataFrame]:
        """Frames with the columns "0", "1", ..., ROW and, for text, SURPLUS. TableError when it breaks off."""
        try:
            yield from self._scan().collect_batches(chunk_size=BATCH, maintain_order=True)
        except pl.exceptions.PolarsError as error:
            reason = str(error).splitlines()[0]
            raise TableError(f"The table cannot be read to its end ({reason}). Save it again as CSV.") from error

    def _scan(self) -> pl.LazyFrame:
        names = [str(index) for index in range(len(self.header))]
        if self.is_parquet:
            frame = pl.scan_parquet(self.path, row_index_name=ROW, row_index_offset=self.first_row)
            return frame.rename(dict(zip(self.header, names, strict=True)))
        return pl.scan_csv(
            self.path,
            has_header=False,
            skip_lines=self.skip_lines,
            separator=self.separator,
            # Text, so that what is no number can be told; a column more, so that a row that is too long shows.
            schema=dict.fromkeys([*names, SURPLUS], pl.String()),
            missing_columns="insert",
            truncate_ragged_lines=True,
            row_index_name=ROW,
            row_index_offset=self.first_row,
            glob=False,
        )


@contextmanager
def opened(source: str) -> Iterator[OpenTable]:
    """The table at a path or URI: CSV with commas, semicolons or tabs in any usual encoding, or Parquet.

    TableError when it is no such table. Copies that are needed meanwhile are thrown away afterwards.
    """
    with ExitStack() as stack:
        path = _local_copy(source, stack)
        start = _start_of(path)
        if start.startswith(GZIP):
            path = _copied(gzip.open(path, "rb"), stack)  # noqa: SIM115 (closed by _copied)
            start = _start_of(path)
        if not start.strip():
            raise TableError("The file is empty.")
        if start.startswith(EXCEL):
            raise TableError("This is an Excel workbook; save it as CSV.")
        yield _parquet(path) if start.startswith(PARQUET) else _text(path, stack)


def _local_copy(source: str, stack: ExitStack) -> Path:
    path = local_path(source)
    if path is not None and Path(path).expanduser().is_dir():
        raise TableError(f"{source} is a folder; name the table in it.")
    try:
        if path is not None:
            Path(path).expanduser().open("rb").close()
            return Path(path).expanduser()
        return _copied(stack.enter_context(open_file(source)), stack)
    except FileNotFoundError:
        raise TableError(f"There is no file {source}.") from None
    except PermissionError:
        raise TableError(f"{source} may not be read by this account; ask for read access.") from None
    except Exception as error:  # each storage has its own
        raise TableError(f"{source} could not be read ({error}).") from error


def _copied(stream: IO[bytes] | gzip.GzipFile, stack: ExitStack) -> Path:
    copy = stack.enter_context(tempfile.NamedTemporaryFile(suffix=".table"))  # noqa: SIM115 (the stack closes it)
    try:
        with stream:
            shutil.copyfileobj(stream, copy, CHUNK)
    except (OSError, EOFError, zlib.error) as error:
        raise TableError(f"The file cannot be read to its end ({error}). Copy it again.") from error
    copy.flush()
    return Path(copy.name)


def _start_of(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(LARGEST_HEADER)


def _parquet(path: Path) -> OpenTable:
    try:
        header = list(pl.read_parquet_schema(path))
        facts = {key: str(value) for key, value in pl.read_parquet_metadata(path).items() if key != "ARROW:schema"}
    except Exception as error:  # polars and its reader have several
        raise TableError("The Parquet file is damaged or was not written to its end; write it again.") from error
    return OpenTable(path, header, is_parquet=True, first_row=1, facts=facts)


def _text(path: Path, stack: ExitStack) -> OpenTable:
    notes: tuple[str, ...] = ()
    encoding = _encoding_of(path)
    if encoding != "utf-8-sig" or b"\n" not in _start_of(path):
        path = _as_utf8(path, encoding, stack)
        if encoding == "cp1252":
            notes = ("The file is not UTF-8; it was read as Windows-1252.",)
    text = codecs.getincrementaldecoder("utf-8-sig")("replace").decode(_start_of(path))
    stated = re.match(r"\s*sep=(.)\r?\n", text, re.IGNORECASE)  # a line Excel writes for itself
    separator = stated[1] if stated else separator_of(text)
    lines = csv.reader(io.StringIO(text[stated.end() :] if stated else text, newline=""), delimiter=separator)
    header: list[str] = []
    try:
        header = next((cells for cells in lines if any(cell.strip() for cell in cells)), [])
    except csv.Error as error:
        raise TableError(f"This is not a table that can be read ({error}).") from error
    skip_lines = lines.line_num + (stated[0].count("\n") if stated else 0)
    return OpenTable(
        path,
        [cell.replace("\x00", "").strip() for cell in header],
        is_parquet=False,
        first_row=skip_lines + 1,
        separator=separator,
        skip_lines=skip_lines,
        notes=notes,
    )


def _encoding_of(path: Path) -> str:
    """UTF-16 with its mark, else UTF-8, else what Windows writes."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as stream:
        chunk = stream.read(CHUNK)
        if chunk.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        try:
            while chunk:
                decoder.decode(chunk)
                chunk = stream.read(CHUNK)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8-sig"


def _as_utf8(path: Path, encoding: str, stack: ExitStack) -> Path:
    """A copy in UTF-8 with line feeds."""
    copy = stack.enter_context(
        tempfile.NamedTemporaryFile("w", suffix=".csv", encoding="utf-8", newline="\n")  # noqa: SIM115
    )
    with path.open(encoding=encoding, errors="replace") as text:
        shutil.copyfileobj(text, copy, CHUNK)
    copy.flush()
    return Path(copy.name)
