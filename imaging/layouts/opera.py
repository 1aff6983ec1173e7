"""Opera Phenix and Operetta (Harmony): row, column, field, plane and channel in the name; Index.idx.xml."""

import re

from imaging.layouts.indexed import (
    BadIndex,
    Record,
    Tags,
    local_name,
    not_in_folder,
    number_of,
    parse_xml,
    planes_of_records,
    plate_name,
    read_index,
)
from imaging.layouts.listing import index_files
from imaging.layouts.model import EXTENSION, Layout, Listing, Names, Place, distinct_names, file_name, folder_of
from imaging.layouts.names import clean_name
from imaging.wells import WellPosition, parse_column, parse_row

INDEX = re.compile(r"Index(?:\.(?:idx|ref))?\.xml", re.IGNORECASE)
WANTED = {"PlateID", "Name", "URL", "State", "Row", "Col", "FieldID", "PlaneID", "TimepointID", "ChannelID"}
WANTED |= {"ChannelName"}
NAME = re.compile(
    r"^r(?P<row>[0-9]{2})c(?P<column>[0-9]{2})f(?P<site>[0-9]{2,})p(?P<z>[0-9]{2,})-(?P<channel>ch[0-9]+)"
    r"(?:sk|t)(?P<timepoint>[0-9]+)(?:fk[0-9]+fl[0-9]+)?" + EXTENSION,
    re.IGNORECASE,
)
MEASUREMENT = re.compile(
    r"^(?P<plate>.+)__[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}_[0-9]{2}_[0-9]{2}-Measurement ?[0-9]+", re.IGNORECASE
)


class IndexTags(Tags):
    """Collects the plates, the channels and the images of an index, whatever its namespace."""

    def __init__(self) -> None:
        self.plates: list[dict[str, str]] = []
        self.channels: dict[str, str] = {}
        self.images: list[dict[str, str]] = []
        self.entry: dict[str, str] | None = None
        self.kind = ""
        self.text: list[str] | None = None

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = local_name(tag)
        # A well lists its images too, but without their facts: only those of an element with an URL count.
        if name in ("Plate", "Image", "Entry"):
            self.kind, self.entry = name, {}
            if name == "Entry":
                self.entry["ChannelID"] = attributes.get("ChannelID", "")
        elif name in WANTED and self.entry is not None:
            self.text = []

    def data(self, text: str) -> None:
        if self.text is not None:
            self.text.append(text)

    def end(self, tag: str) -> None:
        name = local_name(tag)
        if self.entry is None:
            return
        if self.text is not None and name in WANTED:
            self.entry[name] = "".join(self.text).strip()
            self.text = None
        elif name == self.kind:
            self.keep(self.entry)
            self.entry = None

    def keep(self, entry: dict[str, str]) -> None:
        """Put an element that ended where it belongs."""
        if self.kind == "Plate":
            self.plates.append(entry)
        elif self.kind == "Entry" and entry.get("ChannelName"):
            self.channels[entry["ChannelID"]] = entry["ChannelName"]
        elif self.kind == "Image" and entry.get("URL"):
            self.images.append(entry)
            if entry.get("ChannelName"):
                self.channels[entry.get("ChannelID", "")] = entry["ChannelName"]


def read_opera(listing: Listing, plate: str | None) -> Names:
    """Images as each Index.idx.xml describes them, and the rest by their names."""
    records: dict[str, Record] = {}
    channel_names: dict[str, dict[str, str]] = {}
    channel_numbers: dict[str, int] = {}
    plate_names: dict[str, str] = {}
    notes = []
    there = set(listing.images)
    for index in index_files(listing, INDEX):
        tags = IndexTags()
        try:
            parse_xml(read_index(index), tags)
        except BadIndex as problem:
            notes.append(f"{file_name(index)} {problem}; file names are read instead.")
            continue
        if not tags.images:
            continue
        folder = folder_of(index)
        named = distinct_names(
            {int(key): name for key, name in tags.channels.items() if key.isascii() and key.isdigit()},
            lambda number: f"ch{number}",
        )
        about = tags.plates[0] if tags.plates else {}
        plate_names[folder] = plate_name(about.get("Name"), about.get("PlateID"))
        channel_names[folder] = {f"ch{number}": clean_name(name) for number, name in named.items()}
        for number, name in named.items():
            channel_numbers[clean_name(name)] = min(number, channel_numbers.get(clean_name(name), number))
        unclear = 0
        for entry in tags.images:
            try:
                record = record_of(entry, index, plate_names[folder], channel_names[folder], there)
            except ValueError:
                unclear += 1
                continue
            records.setdefault(record.uri, record)
        if unclear:
            notes.append(f"{file_name(index)} has {unclear:,} images without a sound place; their names are read.")
    return planes_of_records(
        OPERA, listing, plate, records.values(), channel_names, channel_numbers, notes, plate_names
    )


def record_of(entry: dict[str, str], index: str, plate: str, channel_names: dict[str, str], there: set[str]) -> Record:
    """One image of an index. ValueError when its place makes no sense."""
    url = entry["URL"].replace("\\", "/")
    if "://" in url or url.startswith("/") or ".." in url.split("/"):
        raise ValueError(f"{url} is not beside its index")
    uri = f"{folder_of(index)}/{url}"
    channel = f"ch{number_of(entry.get('ChannelID'), default=1)}"
    place = Place(
        plate,
        WellPosition(parse_row(entry.get("Row", "")), parse_column(entry.get("Col", ""))),
        number_of(entry.get("FieldID"), default=1),
        channel_names.get(channel, channel),
        timepoint_of(entry, url),
        number_of(entry.get("PlaneID"), default=1),
    )
    state = entry.get("State", "")
    if state.casefold() not in ("", "ok"):
        return Record(uri, place, f"was not taken well: the microscope noted {state!r}")
    return Record(uri, place, "" if uri in there else not_in_folder(index))


def timepoint_of(entry: dict[str, str], url: str) -> int:
    """The timepoint as file names count it, from 1; the index counts from 0."""
    found = NAME.search(file_name(url))
    return int(found["timepoint"]) if found else number_of(entry.get("TimepointID"), default=0) + 1


def channel_without_zeros(groups: dict[str, str]) -> dict[str, str]:
    """Some exports write ch01 for ch1."""
    return {**groups, "channel": f"ch{int(groups['channel'][2:])}"}


OPERA = Layout(
    name="opera",
    title="Opera Phenix, Operetta (Harmony)",
    explanation="Row, column, field, plane and channel in the name; Index.idx.xml names the plate and the channels.",
    example="r03c03f01p01-ch1sk1fk1fl1.tiff",
    pattern=NAME,
    folders=(MEASUREMENT,),
    refine=channel_without_zeros,
    read_source=read_opera,
    index=INDEX,
    numbers_lone_z=True,
)
