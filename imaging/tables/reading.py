"""Read a table of metrics: every field once, its numbers, and what could not be taken."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np
import polars as pl

from imaging.layouts.loaddata import address_of, groups_of_name, page_of
from imaging.tables.columns import Candidate, channels_of, find_columns, origin_of
from imaging.tables.model import CellError, FieldPlace, FileColumn, MetricTable, TableError, TableProblem
from imaging.tables.opening import ROW, SURPLUS, OpenTable, opened
from imaging.tables.places import PlaceReader

MISSING = ("", "nan", "na", "n/a", "#n/a", "null", "none", "-", "inf", "+inf", "-inf", "infinity", "-infinity")
MOST_PROBLEMS = 1_000  # kept one by one; the others are counted
MOST_OF_A_COLUMN = 200
COMMA = r"^([+-]?[0-9]*),([0-9]+(?:[eE][+-]?[0-9]+)?)$"


def read_metric_table(
    source: str, *, name: str = "", plate: str | None = None, default_plate: str | None = None
) -> MetricTable:
    """The fields and metrics of a CSV, TSV or Parquet file at a path or URI; `name` is the file's in problems.

    `plate` is the barcode of every row; `default_plate` that of rows for which neither a column nor a folder tells
    (else the file's name). A bad row is left out and a bad cell is left empty, and both are told in `problems`.
    TableError, with nothing read, when there is no row, no well or no metric in it.
    """
    name = name or source.rstrip("/").rsplit("/", 1)[-1]
    try:
        with opened(source) as table:
            return _Reading(name, table, plate, default_plate or _stem(name)).finish()
    except TableError as problem:
        text = str(problem)
        raise TableError(text if name in text else f"{name}: {text[0].lower()}{text[1:]}") from problem


@dataclass
class _Metric:
    """The numbers of one column so far, batch by batch, and the cells that are none."""

    candidate: Candidate
    parts: list[np.ndarray] = field(default_factory=list)
    n_numbers: int = 0
    bad: list[tuple[int, str]] = field(default_factory=list)
    n_bad: int = 0

    @property
    def is_metric(self) -> bool:
        """Named as one, or mostly numbers; a column of words is none."""
        return self.candidate.is_sure or (self.n_numbers > 0 and self.n_bad <= self.n_numbers)

    @property
    def name(self) -> str:
        return self.candidate.name

    def add_bad(self, cells: pl.Series, numbers: pl.Series, rows: list[int]) -> None:
        """Note the filled cells of a batch that are no numbers."""
        is_filled = cells.is_not_null() & ~cells.cast(pl.String).str.to_lowercase().is_in(MISSING)
        bad = (is_filled & numbers.is_null()).arg_true().to_list()
        self.n_bad += len(bad)
        self.bad += [(rows[n], str(cells[n])) for n in bad[: MOST_OF_A_COLUMN - len(self.bad)]]


class _Reading:
    """One pass over a table."""

    def __init__(self, name: str, table: OpenTable, plate: str | None, default_plate: str) -> None:
        self.name, self.table = name, table
        self.columns = find_columns(table.header)
        self._check_columns()
        headers = {group: table.header[index] for group, index in self.columns.place.items()}
        self.place_of = PlaceReader(headers, plate=plate, default_plate=default_plate)
        self.metrics = [_Metric(candidate) for candidate in self.columns.metrics]
        self.problems: list[TableProblem] = []
        self.n_problems = self.n_rows = 0
        self.rows: list[int] = []
        self.places: list[FieldPlace] = []
        self.hashes: list[str] = []
        self.failures: list[str] = []
        self.files = {channel: FileColumn([], []) for channel in self.columns.files}
        self.kept: list[np.ndarray] = []  # of each batch, which rows were taken
        self.version = ""

    def finish(self) -> MetricTable:
        for batch in self.table.batches():
            self._take(batch)
        if not self.n_rows:
            raise TableError("The table has a header and no rows.")
        used = [metric for metric in self.metrics if metric.is_metric]
        if not used:
            raise TableError("No column holds numbers that could be a metric; export the measurements too.")
        self._tell_bad_cells(used)
        values = self._values(used)
        names = [metric.name for metric in used]
        fields = self._once(values)
        if not fields:
            first = self.problems[0]
            raise TableError(f"No row could be taken. The first problem: {first.where(self.name)}: {first.reason}")
        return MetricTable(
            name=self.name,
            origin=self._origin(names),
            channels=self._channels(names),
            columns=names,
            values=values[fields],
            rows=[self.rows[n] for n in fields],
            places=[self.places[n] for n in fields],
            content_hashes=[self.hashes[n] for n in fields],
            failures=[self.failures[n] for n in fields],
            files={
                channel: FileColumn([file.addresses[n] for n in fields], [file.pages[n] for n in fields])
                for channel, file in self.files.items()
            },
            n_rows=self.n_rows,
            problems=self.problems,
            n_problems=self.n_problems,
            notes=[*self.table.notes, *self.columns.notes, *self._left_out()],
        )

    def _check_columns(self) -> None:
        place, header = self.columns.place, self.table.header
        if "well" in place or {"row", "column"} <= place.keys() or self.columns.files:
            return
        found = ", ".join(repr(one) for one in header[:12] if one) + (", ..." if len(header) > 12 else "")
        raise TableError(
            "No column names the well. Call one well, or two row and column, or keep CellProfiler's FileName columns. "
            f"Columns found: {found}."
        )

    def _take(self, batch: pl.DataFrame) -> None:
        numbers = batch[ROW].to_list()
        cells = {group: self._texts(batch, index) for group, index in self.columns.place.items()}
        hashes, failures = (self._texts(batch, index) for index in (self.columns.content_hash, self.columns.error))
        files = self._addresses(batch)
        blank = batch.select(pl.all_horizontal(pl.exclude(ROW).is_null()))[:, 0].to_list()
        surplus = batch[SURPLUS].to_list() if SURPLUS in batch.columns else [None] * len(batch)
        if not self.version and self.columns.version is not None:
            self.version = next(filter(None, self._texts(batch, self.columns.version)), "")
        kept = np.zeros(len(batch), bool)
        for n, number in enumerate(numbers):
            if blank[n]:
                continue
            self.n_rows += 1
            try:
                if surplus[n] is not None:
                    raise CellError("", "the row has more cells than the header. Put text with commas in quotes.")
                place = self._place({group: texts[n] for group, texts in cells.items()}, files, n)
            except CellError as error:
                self._problem(number, error.column, str(error))
                continue
            kept[n] = True
            self.rows.append(number)
            self.places.append(place)
            self.hashes.append(hashes[n].lower())
            self.failures.append(failures[n])
            for channel, (addresses, pages) in files.items():
                self.files[channel].addresses.append(addresses[n])
                self.files[channel].pages.append(pages[n])
        self.kept.append(kept)
        if self.metrics:
            self._add_numbers(batch, numbers)

    def _texts(self, batch: pl.DataFrame, index: int | None) -> list[str]:
        if index is None:
            return [""] * len(batch)
        texts = batch[str(index)].cast(pl.String, strict=False).fill_null("")
        texts = texts.str.replace_all("\x00", "", literal=True).str.strip_chars()  # the database refuses them
        return texts.replace(["nan", "NaN", "None", "null"], "").to_list()

    def _addresses(self, batch: pl.DataFrame) -> dict[str, tuple[list[str], list[int]]]:
        found = {}
        for channel, kinds in self.columns.files.items():
            texts = [self._texts(batch, index) for index in kinds.values()]
            positions = {kind: n for n, kind in enumerate(kinds)}
            rows = list(zip(*texts, strict=True))
            found[channel] = (
                [address_of(row, positions) for row in rows],
                [page_of(row, positions) for row in rows],
            )
        return found

    def _place(self, cells: dict[str, str], files: dict[str, tuple[list[str], list[int]]], n: int) -> FieldPlace:
        address = next((addresses[n] for addresses, _ in files.values() if addresses[n]), "")
        return self.place_of.read(cells, address)

    def _add_numbers(self, batch: pl.DataFrame, rows: list[int]) -> None:
        """The numbers of all metrics at once; a column with cells that are none is looked at once more."""
        cells = batch.select(self._cells(batch[str(metric.candidate.index)]) for metric in self.metrics)
        numbers = cells.cast(pl.Float64, strict=False)
        for metric in self.metrics:
            name = str(metric.candidate.index)
            with np.errstate(over="ignore"):
                values = numbers[name].to_numpy().astype(np.float32)
            values[~np.isfinite(values)] = np.nan
            metric.parts.append(values)
            metric.n_numbers += len(values) - int(np.isnan(values).sum())
            if numbers[name].null_count() > cells[name].null_count():
                metric.add_bad(cells[name], numbers[name], rows)

    def _cells(self, column: pl.Series) -> pl.Series:
        """A column as text or numbers; what can be neither is text that is no number."""
        if column.dtype.is_nested() or column.dtype.is_temporal() or column.dtype == pl.Binary:
            return column.is_not_null().replace_strict({True: "no number", False: None}, return_dtype=pl.String)
        if column.dtype != pl.String:
            return column
        text = column.str.strip_chars()
        return text.str.replace(COMMA, "$1.$2") if self.table.separator == ";" else text

    def _tell_bad_cells(self, used: list[_Metric]) -> None:
        for metric in used:
            header = self.table.header[metric.candidate.index]
            for row, text in metric.bad:
                self._problem(row, header, f"{text[:40]!r} is no number; the value is left empty. Correct the cell.")
            self.n_problems += metric.n_bad - len(metric.bad)

    def _values(self, used: list[_Metric]) -> np.ndarray:
        """(rows that were taken, P), freeing each column as it is copied."""
        kept = np.concatenate(self.kept)
        values = np.empty((int(kept.sum()), len(used)), np.float32)
        for n, metric in enumerate(used):
            values[:, n] = np.concatenate(metric.parts)[kept]
            metric.parts.clear()
        return values

    def _once(self, values: np.ndarray) -> list[int]:
        """The rows to keep: each field once. A second row that says something else is a problem."""
        if self.place_of.plate and len(self.place_of.plates_named - {self.place_of.plate}) > 1:
            plates = ", ".join(sorted(self.place_of.plates_named)[:5])
            raise TableError(
                f"You named one plate ({self.place_of.plate}), but the table is of several ({plates}). "
                "Leave the plate empty."
            )
        first: dict[FieldPlace, int] = {}
        for n, place in enumerate(self.places):
            earlier = first.setdefault(place, n)
            if earlier == n or np.array_equal(values[n], values[earlier], equal_nan=True):
                continue
            hint = "" if "site" in self.columns.place else " Add a column site if wells have several fields."
            self._problem(
                self.rows[n],
                "",
                f"row {self.rows[earlier]} is about the same field with other numbers; the first is taken.{hint}",
            )
        return list(first.values())

    def _origin(self, names: list[str]) -> str:
        origin = origin_of(self.table.header, names)
        facts = {key.lower(): value for key, value in self.table.facts.items()}
        if is_short(metric_set := facts.get("metric_set", "")):
            return f"{origin} metrics {metric_set}"
        version = self.version or next((text for key, text in facts.items() if "version" in key), "")
        return f"{origin} {version}" if is_short(version) else origin

    def _channels(self, names: list[str]) -> list[str]:
        """In the order the table states, or of the numbers file names give them; else in that of its columns."""
        channels = channels_of(self.columns, names)
        stated = channels_in(self.table.facts.get("channels", ""))
        if set(channels) <= set(stated):
            return stated
        numbers = {}
        for channel, file in self.files.items():
            address = next(filter(None, file.addresses), "")
            numbers[channel] = _channel_number(address)
        if channels and all(numbers.get(channel) is not None for channel in channels):
            channels.sort(key=lambda channel: numbers[channel] or 0)
        return channels

    def _left_out(self) -> list[str]:
        words = [metric.name for metric in self.metrics if not metric.is_metric]
        if not words:
            return []
        shown = ", ".join(words[:5]) + (", ..." if len(words) > 5 else "")
        return [f"Left out, because they hold no numbers: {shown}."]

    def _problem(self, row: int, column: str, reason: str) -> None:
        self.n_problems += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(TableProblem(row, column, reason))


def is_short(version: str) -> bool:
    """Whether a text can be a version: it is shown in pages and in the names of metric sets."""
    return re.fullmatch(r"[\w.+-]{1,20}", version) is not None


def channels_in(text: str) -> list[str]:
    """The channels that cellqc's own Parquet states, as JSON; none when it is something else."""
    try:
        channels = json.loads(text)
    except ValueError:
        return []
    is_list = isinstance(channels, list) and all(isinstance(one, str) and one for one in channels)
    return list(dict.fromkeys(channels)) if is_list else []


def _channel_number(address: str) -> int | None:
    try:
        return int(groups_of_name(address)["channel_number"])
    except (KeyError, ValueError):
        return None


def _stem(name: str) -> str:
    """A file's name without its endings: what a plate is called when nothing else tells."""
    return re.sub(r"(\.(csv|tsv|txt|parquet|gz))+$", "", PurePosixPath(name).name, flags=re.IGNORECASE) or "plate"
