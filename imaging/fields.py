"""From a source to its fields: what of each is there to measure, and why a field cannot be measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from imaging.calibration import container_max_of
from imaging.headers import Headers, Progress, read_headers, refuse_unlike, why_incomplete
from imaging.layouts import Place, PlaneSource, RefusedFile, ZRule
from imaging.layouts.reading import read_planes
from imaging.measure import FileOfField
from imaging.wells import WellPosition


@dataclass(frozen=True)
class SourceField:
    """One field of view of a source: its files in channel order, or in words what it lacks."""

    plate: str
    well: WellPosition
    site: int
    timepoint: int
    files: tuple[FileOfField, ...]
    problem: str = ""


@dataclass(frozen=True)
class SourceFields:
    """The fields of a source in plate order, channels, and for each the largest value its files can hold.

    `refused` are files that are no field's, with the reason in a sentence.
    """

    fields: list[SourceField]
    channels: list[str]
    container_max: dict[str, int]
    refused: list[RefusedFile]
    explanation: str


def fields_of_source(
    source: str,
    *,
    layout: str | None = None,
    plate: str | None = None,
    z: ZRule = "middle",
    progress: Progress | None = None,
) -> SourceFields:
    """Read names, indexes and the header of each file of a source; the same fields as ingest makes of it.

    SourceError when there are no images, or none is understood; ValueError when layout or z make no sense.
    """
    # What this account may read, it may measure.
    reading = read_planes(source, layout=layout, plate=plate, rule=z, may_read=lambda _uri: True)
    headers = read_headers(reading.planes, reading, progress)
    refuse_unlike(headers)
    return SourceFields(
        fields_of(headers, reading.missing, reading.channels),
        reading.channels,
        container_maxima(headers),
        reading.refused,
        reading.explanation,
    )


def fields_of(headers: Headers, missing: Iterable[RefusedFile], channels: list[str]) -> list[SourceField]:
    """The fields, by plate, row, column, site and timepoint; a field without one of the channels has a problem."""
    files: dict[tuple[str, int, int, int, int], dict[str, FileOfField]] = {}
    reasons: dict[tuple[str, int, int, int, int], dict[str, str]] = {}
    for plane in headers.facts:
        files.setdefault(place_of(plane), {})[plane.channel] = FileOfField(plane.channel, plane.uri, plane.page)
    for plane, reason in headers.problems.items():
        reasons.setdefault(place_of(plane), {})[plane.channel] = reason
    for one in missing:
        if one.place is not None:
            reasons.setdefault(place_of(one.place), {})[one.place.channel] = one.reason
    fields = []
    for place in sorted(files.keys() | reasons.keys()):
        barcode, row, column, site, timepoint = place
        there, why = files.get(place, {}), reasons.get(place, {})
        problem = why_incomplete([name for name in channels if name not in there], why)
        of_field = tuple(there[name] for name in channels if name in there)
        fields.append(SourceField(barcode, WellPosition(row, column), site, timepoint, of_field, problem))
    return fields


def place_of(one: PlaneSource | Place) -> tuple[str, int, int, int, int]:
    """Which field a plane is of, in the order of tables."""
    return one.plate, one.well.row, one.well.column, one.site, one.timepoint


def container_maxima(headers: Headers) -> dict[str, int]:
    """For each channel the largest value that its files can hold."""
    bits: dict[str, int] = {}
    for plane, facts in headers.facts.items():
        bits[plane.channel] = max(bits.get(plane.channel, 0), facts.bit_depth)
    return {channel: container_max_of(most) for channel, most in bits.items()}
