"""Reading an index file: what it says of each image, and what it names that is not there."""

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from imaging.layouts.model import Layout, Listing, Names, Place, PlaneSource, RefusedFile, file_name, printable
from imaging.layouts.names import clean_name, folder_plate, note_channel_number, plane_from, read_groups
from imaging.reading import UnreadableImage, read_bytes, reasons_for


class BadIndex(Exception):
    """Why an index file says nothing, in words after its name."""


@dataclass(frozen=True, slots=True)
class Record:
    """What an index says of one plane. `problem`: why it was not taken, as the words after "the file"."""

    uri: str
    place: Place
    problem: str = ""


class Tags:
    """A parser's target without documents that define entities: those can name other files, or grow without end."""

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise BadIndex(f"is XML with a DOCTYPE ({name}), which no microscope writes")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins."""

    def data(self, text: str) -> None:
        """A piece of an element's text."""

    def end(self, tag: str) -> None:
        """An element ends."""

    def close(self) -> None:
        """The document ends."""


class Tree(ET.TreeBuilder):
    """The whole tree, with the same refusal."""

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise BadIndex(f"is XML with a DOCTYPE ({name}), which no microscope writes")


def local_name(tag: str) -> str:
    """A tag or attribute without its namespace: instruments change it with each version of their software."""
    return tag.rsplit("}", 1)[-1]


def read_index(uri: str) -> bytes:
    """The bytes of an index file. BadIndex when it cannot be read."""
    try:
        with reasons_for(uri):
            return read_bytes(uri)
    except UnreadableImage as error:
        raise BadIndex(str(error)) from error


def parse_tree(data: bytes | str) -> ET.Element:
    """The tree of a document. BadIndex when it is no sound XML."""
    return parse_xml(data, Tree())


def parse_xml(data: bytes | str, target: Tags | Tree) -> Any:
    """What the target makes of a document. BadIndex when it is no sound XML."""
    parser = ET.XMLParser(target=target)
    try:
        parser.feed(data)
        return parser.close()
    except (ET.ParseError, LookupError, ValueError) as error:
        raise BadIndex(f"is damaged or cut short ({error})") from error


def text_of(data: bytes) -> str:
    """Text of a file from a microscope: UTF-8, else as Windows wrote it."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def number_of(text: str | None, default: int | None = None) -> int:
    """A whole number of an index. ValueError when it is none."""
    cleaned = (text or "").strip()
    if not cleaned and default is not None:
        return default
    if not cleaned.isascii() or not cleaned.isdigit() or len(cleaned) > 9:
        raise ValueError(f"{text!r} is not a whole number")
    return int(cleaned)


def not_in_folder(index: str) -> str:
    """Why a file that an index names is refused."""
    return f"is named in {file_name(index)} but is not in the folder"


def planes_of_records(
    layout: Layout,
    listing: Listing,
    plate: str | None,
    records: Iterable[Record],
    channel_names: dict[str, dict[str, str]],
    channel_numbers: dict[str, int],
    notes: Iterable[str],
    plate_names: dict[str, str],
) -> Names:
    """Planes of the images a layout's indexes name; images they do not name are read by their own names.

    `channel_names` and `plate_names` are, for the folder of an index, the name of each channel that file names give
    (ch1) and the plate.
    """
    names = Names([], [], [], dict(channel_numbers), set(), tuple(notes))
    there = set(listing.images)
    known: set[str] = set()
    for record in records:
        known.add(record.uri)
        names.plates_in_names.add(record.place.plate)
        place = replace(record.place, plate=plate or record.place.plate)
        if record.uri in there and not record.problem:
            names.planes.append(plane_at(record.uri, place))
        else:
            names.refused.append(RefusedFile(printable(record.uri), record.problem, place))
    for uri in listing.images:
        if uri in known:
            continue
        if layout.skips(uri):
            names.skipped.append(uri)
            continue
        folder = uri.rsplit("/", 1)[0]
        try:
            groups = read_groups(layout, uri, listing.source)
            default = plate_names.get(folder) or folder_plate(layout, uri)
            if folder in plate_names:
                groups.pop("plate", None)
            channel = groups.get("channel", "")
            groups["channel"] = channel_names.get(folder, {}).get(channel, channel)
            plane = plane_from(groups, uri, plate or default, plate)
        except ValueError as error:
            names.refused.append(RefusedFile(printable(uri), f"{printable(file_name(uri))}: {error}"))
            continue
        names.planes.append(plane)
        if plane.channel not in names.channel_numbers:
            note_channel_number(names.channel_numbers, plane.channel, groups)
        names.plates_in_names.add(plane.plate)
    return names


def plane_at(uri: str, place: Place, page: int = 0) -> PlaneSource:
    """The plane of a file that shows a place."""
    return PlaneSource(uri, place.plate, place.well, place.site, place.channel, place.timepoint, place.z, page)


def plate_name(*names: str | None) -> str:
    """The first that is a name."""
    return next((clean for name in names if (clean := clean_name(name or ""))), "plate")
