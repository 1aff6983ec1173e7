"""The words of metric tables: what was read, and what could not be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np


class TableError(Exception):
    """Why a table cannot be taken as a whole, in a sentence for a scientist."""


class CellError(ValueError):
    """What is wrong with a cell: its column and a sentence that says what to do."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column


class FieldPlace(NamedTuple):
    """Which field a row is about; rows and columns count from 1."""

    plate: str
    row: int
    column: int
    site: int
    timepoint: int


@dataclass(frozen=True)
class TableProblem:
    """What could not be taken. Rows count from 1 as a spreadsheet shows them; 0 is the whole table."""

    row: int
    column: str
    reason: str

    def where(self, table: str) -> str:
        """Such as "Image.csv, row 12, Metadata_Well"."""
        return ", ".join([table, *([f"row {self.row}"] if self.row else []), *([self.column] if self.column else [])])


@dataclass(frozen=True)
class FileColumn:
    """What the table says of one channel's files: an address (empty where there is none) and page for each row."""

    addresses: list[str]
    pages: list[int]


@dataclass(frozen=True)
class MetricTable:
    """The fields of a table, each once, in the table's order.

    Attributes
    ----------
    origin
        What computed the numbers, such as `CellProfiler 4.2.8`, or `cellqc metrics 1` with the version of the metric
        set; `table` when nothing tells.
    channels
        Names of the channels the columns are about, in the order the table states or file names tell.
    columns
        Canonical names (`ImageQuality_<Metric>_<Channel>[_<scale>]`) of the P metrics.
    values
        (N, P) float32; NaN where the cell is empty, no number, or infinite.
    rows, places, content_hashes, failures
        For each field its row in the table, where it is, the SHA-256 of its pixels and why it could not be
        measured; the last two are empty where the table does not say.
    files
        By channel, where the table says its files are.
    """

    name: str
    origin: str
    channels: list[str]
    columns: list[str]
    values: np.ndarray
    rows: list[int]
    places: list[FieldPlace]
    content_hashes: list[str]
    failures: list[str]
    files: dict[str, FileColumn] = field(default_factory=dict)
    n_rows: int = 0
    problems: list[TableProblem] = field(default_factory=list)
    n_problems: int = 0
    notes: list[str] = field(default_factory=list)
