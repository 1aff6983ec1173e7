"""From a source to its fields: what of each is there to measure, and why a field cannot be measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from imaging.calibration import container_max_of
from imaging.layouts import Place, PlaneSource, RefusedFile, SourceError, ZRule, choose_z, lacking_z, settle
from imaging.layouts import still_missing as missing_planes
from imaging.layouts.sources import listing_for, read_listing
from imaging.measure import FileOfField
from imaging.reading import PlaneFacts, UnreadableImage, inspect
from imaging.wells import WellPosition

Progress = Callable[[int, int], None]
READERS = 8  # headers are waited for, not computed: threads do


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


@dataclass
class _Headers:
    """What the headers of the planes say: those to take, with facts, and why others cannot be read."""

    facts: dict[PlaneSource, PlaneFacts] = field(default_factory=dict)
    problems: dict[PlaneSource, str] = field(default_factory=dict)


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
    listing = listing_for(source, layout, lambda _uri: True)  # what this account may read, it may measure
    understood = read_listing(listing, layout=layout, plate=plate)
    planes, _ = choose_z(understood.planes, z)
    missing = missing_planes([*understood.refused, *lacking_z(understood.planes, z)], planes)
    if understood.layout is None or not (planes or missing):
        raise SourceError(f"No image in {source} could be understood. {understood.explanation}")
    headers = read_headers(planes, None if understood.layout.names_pages else z, progress)
    refuse_other_sizes(headers)
    return SourceFields(
        fields_of(headers, missing, understood.channels),
        understood.channels,
        container_maxima(headers),
        [one for one in understood.refused if one.place is None],
        understood.explanation,
    )


def read_headers(planes: list[PlaneSource], z: ZRule | None, progress: Progress | None) -> _Headers:
    """The header of each file. By the rule z, where it is given, a file of several pages is a z stack."""

    def look(plane: PlaneSource) -> tuple[PlaneSource, PlaneFacts | str]:
        try:
            facts = inspect(plane.uri, plane.page)
            taken = plane if z is None else settle(plane, facts, z)
            return taken, facts if taken is plane else inspect(taken.uri, taken.page)
        except UnreadableImage as reason:
            return plane, str(reason)

    headers = _Headers()
    with ThreadPoolExecutor(READERS) as readers:
        for n, (plane, found) in enumerate(readers.map(look, planes), start=1):
            if isinstance(found, str):
                headers.problems[plane] = found
            else:
                headers.facts[plane] = found
            if progress:
                progress(n, len(planes))
    return headers


def refuse_other_sizes(headers: _Headers) -> None:
    """Make a problem of each plane that does not have the size of most."""
    sizes = Counter((facts.width, facts.height) for facts in headers.facts.values())
    if len(sizes) < 2:
        return
    (width, height), count = max(sizes.items(), key=lambda item: (item[1], item[0]))
    for plane, facts in list(headers.facts.items()):
        if (facts.width, facts.height) != (width, height):
            del headers.facts[plane]
            headers.problems[plane] = (
                f"is {facts.width} x {facts.height} pixels, where {count:,} other files are {width} x {height}; "
                "copy it again, or measure images of another size by themselves"
            )


def fields_of(headers: _Headers, missing: Iterable[RefusedFile], channels: list[str]) -> list[SourceField]:
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
        problem = "; ".join(
            f"{name}: the file {why[name]}" if name in why else f"{name}: there is no file"
            for name in channels
            if name not in there
        )
        of_field = tuple(there[name] for name in channels if name in there)
        fields.append(SourceField(barcode, WellPosition(row, column), site, timepoint, of_field, problem))
    return fields


def place_of(one: PlaneSource | Place) -> tuple[str, int, int, int, int]:
    """Which field a plane is of, in the order of tables."""
    return one.plate, one.well.row, one.well.column, one.site, one.timepoint


def container_maxima(headers: _Headers) -> dict[str, int]:
    """For each channel the largest value that its files can hold."""
    bits: dict[str, int] = {}
    for plane, facts in headers.facts.items():
        bits[plane.channel] = max(bits.get(plane.channel, 0), facts.bit_depth)
    return {channel: container_max_of(most) for channel, most in bits.items()}
