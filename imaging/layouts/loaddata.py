"""CellProfiler's LoadData CSV (and its own Image.csv): a row for each field, columns for each channel's file."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote

from imaging.layouts.imagexpress import IMAGEXPRESS
from imaging.layouts.indexed import BadIndex, plane_at, read_index, text_of
from imaging.layouts.listing import IMAGE_EXTENSIONS, index_files
from imaging.layouts.model import (
    NO_NAME,
    Layout,
    Listing,
    Names,
    Place,
    RefusedFile,
    file_name,
    folder_of,
    printable,
)
from imaging.layouts.names import PLAIN_FOLDERS, clean_name, folders_above, number_from, read_groups, well_from
from imaging.layouts.opera import MEASUREMENT, OPERA
from imaging.layouts.patterns import ARRAYSCAN, PLAIN, SBS, WELL_PLATE_CHANNEL_SITE
from imaging.layouts.yokogawa import YOKOGAWA
from imaging.reading import UnreadableImage, local_path, open_file, reasons_for
from imaging.reading.storage import filesystem_of

TABLE = re.compile(r".+\.csv", re.IGNORECASE)
COLUMN = re.compile(r"(?:Image_)?(FileName|PathName|URL|Frame|Metadata)_(.+)", re.IGNORECASE)
# What people call the same thing, most telling first.
METADATA = {
    "plate": ("plate", "barcode", "plate_barcode", "plateid", "plate_name", "assay_plate_barcode"),
    "well": ("well", "wellid", "well_id", "wellname", "well_position"),
    "row": ("row", "wellrow", "well_row"),
    "column": ("col", "column", "wellcolumn", "well_column"),
    "site": ("site", "field", "fieldid", "fov", "position"),
    "timepoint": ("timepoint", "time", "t", "timepointid"),
    "z": ("z", "planeid", "zplane", "plane", "zstep", "z_step", "zindex"),
}
START = 65_536  # of a table, enough for its header
MAX_TABLES_LOOKED_AT = 200


@dataclass(frozen=True)
class Columns:
    """Where a table has what: for each channel its columns, and for each of our groups its column."""

    channels: dict[str, dict[str, int]]
    groups: dict[str, int]


def columns_of(header: Sequence[str]) -> Columns | None:
    """The columns of a header; None when it is not of a LoadData table."""
    channels: dict[str, dict[str, int]] = {}
    metadata: dict[str, int] = {}
    for index, name in enumerate(header):
        found = COLUMN.fullmatch(name.strip())
        if found is None:
            continue
        kind, rest = found[1].casefold(), clean_name(found[2])
        if kind == "metadata":
            metadata.setdefault(rest.casefold(), index)
        else:
            channels.setdefault(rest, {}).setdefault(kind, index)
    channels = {name: kinds for name, kinds in channels.items() if "filename" in kinds or "url" in kinds}
    groups = {
        group: next(metadata[name] for name in names if name in metadata)
        for group, names in METADATA.items()
        if any(name in metadata for name in names)
    }
    return Columns(channels, groups) if channels else None


def tables_of(listing: Listing) -> list[str]:
    """The CSV files of a source whose header is that of LoadData."""
    return [uri for uri in index_files(listing, TABLE)[:MAX_TABLES_LOOKED_AT] if header_of(uri) is not None]


def header_of(uri: str) -> Columns | None:
    """The columns of a CSV file by its first bytes."""
    try:
        with reasons_for(uri), open_file(uri) as stream:
            start = text_of(stream.read(START))
    except UnreadableImage:
        return None
    try:
        return columns_of(next(rows_of(start), []))
    except csv.Error:
        return None


def rows_of(text: str) -> Iterator[list[str]]:
    """The rows of a table, whatever separates its cells."""
    header = text[: text.find("\n")] if "\n" in text else text
    delimiter = max(",;\t", key=header.count)
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)


def read_loaddata(listing: Listing, plate: str | None) -> Names:
    """The planes of every LoadData table of the source."""
    names = Names([], [], [], {}, set())
    notes = []
    files = Files(listing)
    named: set[str] = set()
    for table in tables_of(listing):
        try:
            rows = rows_of(text_of(read_index(table)))
            columns = columns_of(next(rows, []))
            if columns is None:
                continue
            left_out = read_rows(rows, columns, table, files, plate, names, named)
            if left_out:
                notes.append(
                    f"{file_name(table)}: {', '.join(sorted(left_out))} are not images but corrections, and left out."
                )
        except (BadIndex, csv.Error) as problem:
            notes.append(f"{file_name(table)} could not be read to its end: it {problem}.")
    for uri in listing.images:
        if uri not in named:
            names.refused.append(RefusedFile(printable(uri), f"{printable(file_name(uri))} is in no LoadData table."))
    return names._replace(notes=tuple(notes))


def read_rows(
    rows: Iterator[list[str]],
    columns: Columns,
    table: str,
    files: "Files",
    plate: str | None,
    names: Names,
    named: set[str],
) -> set[str]:
    """Add the planes of a table's rows to `names`; return the channels that were left out."""
    left_out: set[str] = set()
    for number, row in enumerate(rows, start=2):
        if not any(row):
            continue
        for channel, kinds in columns.channels.items():
            address = address_of(row, kinds)
            if not address:
                continue
            if not address.casefold().endswith(IMAGE_EXTENSIONS):
                left_out.add(channel)
                continue
            names.channel_numbers.setdefault(channel, len(names.channel_numbers))
            uri, problem = files.find(address, folder_of(table))
            named.add(uri)
            try:
                place = place_of(row, columns.groups, channel, address, table)
            except ValueError as error:
                reason = f"Row {number} of {file_name(table)}: {str(error).rstrip('.')}."
                names.refused.append(RefusedFile(printable(uri), reason))
                continue
            names.plates_in_names.add(place.plate)
            place = replace(place, plate=plate or place.plate)
            if problem:
                names.refused.append(RefusedFile(printable(uri), problem, place))
            else:
                names.planes.append(plane_at(uri, place, page_of(row, kinds)))
    return left_out


def cell(row: Sequence[str], index: int | None) -> str:
    """The text of a cell, empty when the row is too short."""
    return row[index].strip() if index is not None and index < len(row) else ""


def address_of(row: Sequence[str], kinds: dict[str, int]) -> str:
    """The path or URI of a channel's file: folder and name, else the URL."""
    name, folder = cell(row, kinds.get("filename")), cell(row, kinds.get("pathname"))
    if name:
        return f"{folder.rstrip('/' + chr(92))}/{name}" if folder else name
    url = cell(row, kinds.get("url"))
    return unquote(re.sub(r"^file:(?://)?", "", url)) if url.startswith("file:") else url


def page_of(row: Sequence[str], kinds: dict[str, int]) -> int:
    """The page of a file of several, counted from 0."""
    text = cell(row, kinds.get("frame"))
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0


def place_of(row: Sequence[str], groups: dict[str, int], channel: str, address: str, table: str) -> Place:
    """What a row says of the field, completed from the file's name where there is no column for the well."""
    found = {group: text for group, index in groups.items() if (text := cell(row, index))}
    if "well" in found:
        found = {group: text for group, text in found.items() if group not in ("row", "column")}
    elif not {"row", "column"} <= found.keys():
        found = {**groups_of_name(address), **found}
    if "plate" not in groups:  # names of several plates may all say 01; their folders tell them apart
        found["plate"] = plate_of(address) or found.get("plate", "") or file_name(folder_of(table))
    if found.get("site", "").casefold().startswith(("s", "f")):
        found["site"] = found["site"][1:]  # s3, f03
    return Place(
        clean_name(found.get("plate", "")) or "plate",
        well_from(found),
        number_from(found, "site", default=1),
        channel,
        number_from(found, "timepoint", default=1),
        number_from(found, "z", default=1) if found.get("z") else None,
    )


def groups_of_name(address: str) -> dict[str, str]:
    """What the file's name says by the first layout that it follows; nothing when it follows none."""
    name = file_name(address.replace("\\", "/"))
    for layout in (IMAGEXPRESS, OPERA, YOKOGAWA, ARRAYSCAN, WELL_PLATE_CHANNEL_SITE, SBS, PLAIN):
        if layout.find(name) is not None:
            return read_groups(layout, name, "")
    return {}


def plate_of(address: str) -> str:
    """The nearest folder above a file that may be a plate's, without the date a microscope adds; empty for none."""
    for folder in folders_above(address.replace("\\", "/")):
        measurement = MEASUREMENT.search(folder)
        if measurement is not None:
            return measurement["plate"]
        if PLAIN_FOLDERS.fullmatch(folder) is None and not any(one.search(folder) for one in IMAGEXPRESS.folders):
            return folder
    return ""


class Files:
    """Where the files of a table are here: tables are written on another computer more often than not."""

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.there = {uri for uri in (*listing.images, *listing.ignored) if uri.casefold().endswith(IMAGE_EXTENSIONS)}
        self.names = {file_name(uri) for uri in self.there}
        self.folders: dict[str, set[str]] = {}

    def find(self, address: str, folder: str) -> tuple[str, str]:
        """The file's address here, and why it cannot be taken, if so.

        In order: the address itself; relative to the table's folder; and the longest end of the path that exists
        below the table's folder or the source, as after a copy of the folder from another computer.
        """
        plain = address.replace("\\", "/") if "://" not in address else address
        is_absolute = "://" in plain or plain.startswith("/") or re.match(r"[A-Za-z]:/", plain) is not None
        outside = plain if is_absolute else f"{folder}/{plain}"
        if file_name(plain) in self.names and ".." not in plain.split("/"):
            if outside in self.there:
                return outside, ""
            parts = [part for part in plain.split("://")[-1].split("/") if part]
            for start in range(len(parts)):
                ending = "/".join(parts[start:])
                for root in dict.fromkeys((folder, self.listing.source)):
                    if f"{root}/{ending}" in self.there:
                        return f"{root}/{ending}", ""
        return outside, self.reason_for_outside(outside, is_absolute)

    def reason_for_outside(self, uri: str, is_absolute: bool) -> str:
        """Why a file that is not in the source is not taken; empty when it is there and may be."""
        if not is_absolute or ".." in uri.split("/"):
            return "is named in the LoadData table but is not in the folder"
        if not self.listing.may_read(uri):
            return "is named in the LoadData table but is neither in the folder nor in a place that may be read"
        return "" if self.exists(uri) else "is named in the LoadData table but is not there"

    def exists(self, uri: str) -> bool:
        """Whether a file outside the source is there; each of its folders is listed once."""
        folder = folder_of(uri)
        if folder not in self.folders:
            self.folders[folder] = names_in(folder)
        return file_name(uri) in self.folders[folder]


def names_in(folder: str) -> set[str]:
    """The names of the files in a folder, none when it cannot be listed."""
    try:
        filesystem, path = filesystem_of(local_path(folder) or folder)
        return {file_name(str(found).rstrip("/")) for found in filesystem.ls(path, detail=False)}
    except Exception:  # each storage has its own errors, and all mean that the files cannot be had
        return set()


def count_named(listing: Listing) -> int:
    """How many images of the source its LoadData tables name; with no images, 1 when there is a table."""
    tables = tables_of(listing)
    if not tables or not listing.images:
        return len(tables)
    names = {file_name(uri): uri for uri in listing.images}
    found: set[str] = set()
    for table in tables:
        try:
            rows = rows_of(text_of(read_index(table)))
            columns = columns_of(next(rows, []))
            for row in rows if columns is not None else ():
                for kinds in columns.channels.values() if columns is not None else ():
                    found.add(re.split(r"[/\\]", address_of(row, kinds))[-1])
        except (BadIndex, csv.Error):
            continue
    return len(found & names.keys())


LOADDATA = Layout(
    name="loaddata",
    title="CellProfiler LoadData table",
    explanation="A CSV file names the file of each channel (FileName_, PathName_ or URL_ columns) and, in Metadata_ "
    "columns, plate, well and site.",
    example="load_data.csv",
    pattern=NO_NAME,
    read_source=read_loaddata,
    count=count_named,
    index=TABLE,
    names_pages=True,
)
