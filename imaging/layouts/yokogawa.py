"""Yokogawa CV7000, CV8000 and CQ1: MeasurementData.mlf lists every image, also those the microscope failed to take."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

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
from imaging.wells import MAX_COLUMNS, MAX_ROWS, WellPosition

MLF = re.compile(r"MeasurementData\.mlf", re.IGNORECASE)
DETAIL = re.compile(r"MeasurementDetail\.mrf", re.IGNORECASE)
SETTING = re.compile(r".+\.mes", re.IGNORECASE)
NAME = re.compile(
    r"^(?P<plate>.+)_(?P<well>[A-Z]{1,2}[0-9]{2})_T(?P<timepoint>[0-9]{4})F(?P<site>[0-9]{3,4})L[0-9]{2}A[0-9]{2}"
    r"Z(?P<z>[0-9]{2,3})(?P<channel>C[0-9]{2})" + EXTENSION,
    re.IGNORECASE,
)
# Dark and shading images, which the microscope keeps beside the plate's.
CORRECTIONS = re.compile(r"^(?:DC|SC|BC|SHD?)_.+", re.IGNORECASE)
PROJECTION = "MIP"
# Stage positions of one field agree to the tenth of a micrometre in all wells.
SAME_POSITION_UM = 1.0


@dataclass(frozen=True)
class Shot:
    """One record of the list: an image, or an error, which may lack field, channel and z."""

    well: WellPosition
    timepoint: int
    site: int | None
    channel: int | None
    z: int | None
    position: tuple[float, float] | None
    text: str


@dataclass
class Measurement(Tags):
    """What the files of one measurement folder say."""

    shots: list[Shot] = field(default_factory=list)
    errors: list[Shot] = field(default_factory=list)
    channels: dict[int, str] = field(default_factory=dict)
    plate: str = ""
    unclear: int = 0
    current: dict[str, str] | None = None
    text: list[str] = field(default_factory=list)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = local_name(tag)
        facts = {local_name(key): value for key, value in attributes.items()}
        if name == "MeasurementRecord":
            self.current, self.text = facts, []
        elif name == "MeasurementDetail" and not self.plate:
            self.plate = facts.get("Title", "")
        elif name == "MeasurementSamplePlate" and facts.get("Name"):
            self.plate = facts["Name"]
        elif name == "Channel" and facts.get("Ch", "").isdigit():
            self.channels[int(facts["Ch"])] = clean_name(facts.get("Fluorophore", "") or facts.get("Acquisition", ""))

    def data(self, text: str) -> None:
        if self.current is not None:
            self.text.append(text)

    def end(self, tag: str) -> None:
        if local_name(tag) != "MeasurementRecord" or self.current is None:
            return
        try:
            shot = shot_of(self.current, "".join(self.text).strip())
            (self.shots if self.current.get("Type", "IMG").upper() == "IMG" else self.errors).append(shot)
        except ValueError:
            self.unclear += 1
        self.current = None


def shot_of(facts: dict[str, str], text: str) -> Shot:
    """A record. ValueError when it names no well."""
    well = WellPosition(number_of(facts.get("Row")), number_of(facts.get("Column")))
    if not (1 <= well.row <= MAX_ROWS and 1 <= well.column <= MAX_COLUMNS):
        raise ValueError(f"{well} is on no plate")

    def number(key: str) -> int | None:
        return number_of(facts[key]) if facts.get(key) else None

    try:
        position = float(facts["X"]), float(facts["Y"])
    except (KeyError, ValueError):
        position = None
    is_projection = facts.get("Action", "").upper() == PROJECTION
    z = None if is_projection else number("ZIndex")
    return Shot(well, number("TimePoint") or 1, number("FieldIndex"), number("Ch"), z, position, text)


def read_yokogawa(listing: Listing, plate: str | None) -> Names:
    """Images as each MeasurementData.mlf lists them, its errors as missing images, and the rest by their names."""
    records: list[Record] = []
    channel_names: dict[str, dict[str, str]] = {}
    channel_numbers: dict[str, int] = {}
    plate_names: dict[str, str] = {}
    notes: list[str] = []
    there = set(listing.images)
    others: dict[str, list[str]] = {folder_of(uri): [] for uri in index_files(listing, MLF)}
    for pattern in (DETAIL, SETTING):
        for uri in index_files(listing, pattern):
            if folder_of(uri) in others:
                others[folder_of(uri)].append(uri)
    for mlf in index_files(listing, MLF):
        folder = folder_of(mlf)
        measurement = read_measurement(mlf, others[folder], notes)
        shots = (*measurement.shots, *measurement.errors)
        used = {shot.channel for shot in shots if shot.channel is not None} or set(measurement.channels)
        named = distinct_names(
            {number: measurement.channels.get(number, "") for number in sorted(used)}, lambda number: f"C{number:02d}"
        )
        channel_names[folder] = {f"C{number:02d}": name for number, name in named.items()}
        plate_names[folder] = plate_name(measurement.plate, file_name(folder))
        for number, name in named.items():
            channel_numbers[name] = min(number, channel_numbers.get(name, number))
        taken = list(records_of_shots(measurement, mlf, plate_names[folder], named, there))
        failed = list(records_of_errors(measurement, mlf, plate_names[folder], named))
        records += [*taken, *failed]
        if measurement.errors:
            notes.append(
                f"{file_name(mlf)} notes {len(measurement.errors):,} errors; "
                f"{len(failed):,} planes were not taken because of them."
            )
    return planes_of_records(YOKOGAWA, listing, plate, records, channel_names, channel_numbers, notes, plate_names)


def read_measurement(mlf: str, others: list[str], notes: list[str]) -> Measurement:
    """The list of a measurement, and what its detail and setting files add."""
    measurement = Measurement()
    for uri in (mlf, *others):
        try:
            parse_xml(read_index(uri), measurement)
        except BadIndex as problem:
            notes.append(f"{file_name(uri)} {problem}; what is missing of it is read from file names.")
    if measurement.unclear:
        notes.append(f"{file_name(mlf)} has {measurement.unclear:,} records without a sound place.")
    return measurement


def records_of_shots(
    measurement: Measurement, mlf: str, plate: str, named: dict[int, str], there: set[str]
) -> Iterator[Record]:
    """The images of the list."""
    for shot in measurement.shots:
        uri = f"{folder_of(mlf)}/{file_name(shot.text)}"
        channel = named.get(shot.channel or 1, f"C{shot.channel or 1:02d}")
        place = Place(plate, shot.well, shot.site or 1, channel, shot.timepoint, shot.z)
        yield Record(uri, place, "" if uri in there else not_in_folder(mlf))


def records_of_errors(measurement: Measurement, mlf: str, plate: str, named: dict[int, str]) -> Iterator[Record]:
    """A record for each plane that an error kept from being taken: those of its place that the list does not have.

    An error of the autofocus names no field: then its position on the stage tells, as the same field of any other
    well has it; else all fields that the well lacks. Without a channel, all channels.
    """
    fields: dict[int, tuple[float, float] | None] = {
        shot.site: shot.position for shot in measurement.shots if shot.site is not None
    }
    taken = {(shot.well, shot.timepoint, shot.site, shot.channel) for shot in measurement.shots}
    slices = {(shot.well, shot.timepoint, shot.site, shot.channel, shot.z) for shot in measurement.shots}
    done: set[tuple[object, ...]] = set()
    for error in measurement.errors:
        for site in sites_of(error, fields):
            for channel in [error.channel] if error.channel is not None else sorted(named):
                place = (error.well, error.timepoint, site, channel)
                there = (*place, error.z) in slices if error.z is not None else place in taken
                if there or (*place, error.z) in done:
                    continue
                done.add((*place, error.z))
                name = named.get(channel, f"C{channel:02d}")
                address = f"{mlf}#{error.well.name}-T{error.timepoint}-F{site}-C{channel}"
                yield Record(
                    address + (f"-Z{error.z}" if error.z is not None else ""),
                    Place(plate, error.well, site, name, error.timepoint, error.z),
                    f"was not taken by the microscope ({error.text or 'it gives no reason'})",
                )


def sites_of(error: Shot, fields: dict[int, tuple[float, float] | None]) -> list[int]:
    """The fields that an error concerns."""
    if error.site is not None:
        return [error.site]
    if error.position is not None:
        x, y = error.position
        near = [
            site
            for site, position in fields.items()
            if position is not None and max(abs(position[0] - x), abs(position[1] - y)) <= SAME_POSITION_UM
        ]
        if len(near) == 1:
            return near
    return sorted(fields) or [1]


def product_is_no_plate(groups: dict[str, str]) -> dict[str, str]:
    """A plate that was given no name is called after its product, as all others of that product are."""
    if groups.get("plate", "").startswith("AssayPlate_"):
        return {key: value for key, value in groups.items() if key != "plate"}
    return groups


YOKOGAWA = Layout(
    name="yokogawa",
    title="Yokogawa CV7000, CV8000",
    explanation="Well, timepoint, field, z and channel in the name; MeasurementData.mlf lists the images and the "
    "errors, and the .mes file names the channels.",
    example="Screen-12_D08_T0001F001L01A01Z01C01.tif",
    pattern=NAME,
    skip=CORRECTIONS,
    refine=product_is_no_plate,
    read_source=read_yokogawa,
    index=MLF,
    numbers_lone_z=True,
)
