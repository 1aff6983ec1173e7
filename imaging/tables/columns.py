"""Which column of a table says what: where a field is, where its files are, and which numbers are metrics."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from imaging.layouts.loaddata import METADATA, columns_of
from imaging.metrics.foreign import FOREIGN, channel_of_column
from imaging.platemap import COLUMN_COLUMNS, PLATE_COLUMNS, ROW_COLUMNS, WELL_COLUMNS, simple

# Names as `simple` leaves them, most telling first; a Metadata_ column goes before a plain one.
PLACE_NAMES = {
    group: dict.fromkeys([*(simple(name) for name in METADATA[group]), *sorted(more)])
    for group, more in {
        "plate": PLATE_COLUMNS | {"assayplate", "plateno", "platenumber"},
        "well": WELL_COLUMNS,
        "row": ROW_COLUMNS | {"wellrowid", "rowid"},
        "column": COLUMN_COLUMNS | {"wellcolumnid", "columnid", "colid"},
        "site": {"siteid", "sitenumber", "fieldofview", "fieldnumber", "fieldindex", "imagesite", "wellsite", "tile"},
        "timepoint": {"timeindex", "timepointindex"},
    }.items()
}
HASH_NAMES = {"contenthash", "contentsha256"}
ERROR_NAMES = {"error", "problem"}
VERSION_NAMES = {"cellprofilerversion", "softwareversion", "metricsetversion", "version"}
# What CellProfiler writes beside measurements, and what says who, where or what rather than how good.
SET_UP = re.compile(
    r"(Channel|ExecutionTime|FileName|PathName|URL|Frame|Series|Group|Height|Width|ImageSet|MD5Digest|Metadata|"
    r"ModuleError|Scaling|Location|Parent|Children)_.*",
    re.IGNORECASE,
)
NO_METRIC = {
    *(simple(name) for name in METADATA["z"]),
    *("", "id", "index", "rownumber", "number", "image", "imageid", "imagenumber", "objectnumber", "tablenumber"),
    *("filename", "file", "path", "pathname", "uri", "url", "barcode", "experiment", "run", "batch", "replicate"),
    *("role", "control", "controltype", "controlclass", "treatment", "compound", "compoundid", "genotype", "sirna"),
    *("dose", "doseum", "concentration", "concentrationum", "conc", "seeddensity", "isolationscore", "blendedscore"),
    *("uncertainty", "verdict", "flagged", "reason", "kept", "decidedby", "date", "datetime"),
}
UNNAMED = re.compile(r"(unnamed:? ?\d*|level_\d+|__index_level_\d+__)", re.IGNORECASE)


@dataclass(frozen=True)
class Candidate:
    """A column that may be a metric: surely, by its name, or only if it holds numbers."""

    index: int
    name: str
    is_sure: bool


@dataclass(frozen=True)
class Columns:
    """Positions of columns by what they say."""

    place: dict[str, int]
    files: dict[str, dict[str, int]]
    metrics: list[Candidate]
    content_hash: int | None = None
    error: int | None = None
    version: int | None = None
    notes: list[str] = field(default_factory=list)


def find_columns(header: Sequence[str]) -> Columns:
    """What each column of a header says."""
    names = [re.sub(r"^Image_(?=[A-Za-z]+_)", "", name.strip()) for name in header]
    place = {group: index for group, known in PLACE_NAMES.items() if (index := _first(names, known)) is not None}
    content_hash, error, version = (_first(names, known) for known in (HASH_NAMES, ERROR_NAMES, VERSION_NAMES))
    loaddata = columns_of(header)
    taken = {*place.values(), content_hash, error, version}
    metrics: dict[str, Candidate] = {}
    notes = []
    for index, name in enumerate(names):
        is_sure = name.startswith(FOREIGN)
        if index in taken or not (is_sure or _may_be_metric(name)):
            continue
        if name in metrics:
            notes.append(f"The column {name} is there twice; the first is used.")
            continue
        metrics[name] = Candidate(index, name, is_sure)
    files = loaddata.channels if loaddata is not None else {}
    return Columns(place, files, list(metrics.values()), content_hash, error, version, notes)


def channels_of(columns: Columns, metrics: Sequence[str]) -> list[str]:
    """The channels a table is about: those it names files of, else those its metrics name."""
    named = list(columns.files) or [channel for name in metrics if (channel := channel_of_column(name))]
    return list(dict.fromkeys(named))


def origin_of(header: Sequence[str], metrics: Sequence[str]) -> str:
    """What wrote a table with these columns."""
    if any(name.startswith("CellQC_") for name in metrics):
        return "cellqc"
    is_cellprofilers = any(re.match(r"(Image_)?(ImageQuality|ModuleError|ExecutionTime)_", name) for name in header)
    return "CellProfiler" if is_cellprofilers else "table"


def _may_be_metric(name: str) -> bool:
    plain = simple(name)
    return not (plain in NO_METRIC or SET_UP.fullmatch(name) or UNNAMED.fullmatch(name))


def _first(names: Sequence[str], known: dict[str, None] | set[str]) -> int | None:
    """The column with the most telling of the known names; of equals the one marked Metadata_, then the first."""
    order = {name: rank for rank, name in enumerate(known)}
    found = [
        (order[simple(name)], not name.lower().startswith("metadata_"), index)
        for index, name in enumerate(names)
        if simple(name) in order
    ]
    marked = [one for one in found if not one[1]]
    return min(marked or found)[2] if found else None
