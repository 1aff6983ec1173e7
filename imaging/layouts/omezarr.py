"""OME-Zarr plates (0.4 and 0.5): a folder whose metadata lists wells, fields and channels."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from imaging.layouts.model import (
    NO_NAME,
    Layout,
    Listing,
    Names,
    PlaneSource,
    RefusedFile,
    SourceError,
    distinct_names,
    file_name,
    printable,
)
from imaging.layouts.names import clean_name
from imaging.reading import UnreadableImage, reasons_for
from imaging.reading.problems import MAX_PAGES
from imaging.reading.zarrs import array_facts, array_uri, read_json
from imaging.wells import WellPosition, parse_well

READERS = 8  # metadata is waited for, not computed: threads do
ENDING = re.compile(r"(?:\.ome)?\.zarr$", re.IGNORECASE)
DEFAULT_AXES = "tczyx"  # before OME-Zarr 0.3 axes had no names


class BadStore(Exception):
    """Why a Zarr folder is no plate, in words after its name."""


@dataclass(frozen=True)
class Field:
    """One image of a well."""

    folder: str
    plate: str
    well: WellPosition
    site: int


def attributes_of(folder: str) -> dict:
    """The OME metadata of a Zarr group, whichever version wrote it. BadStore when it has none."""
    try:
        with reasons_for(folder):
            try:
                meta = read_json(f"{folder}/zarr.json").get("attributes") or {}
            except FileNotFoundError:
                meta = read_json(f"{folder}/.zattrs")
    except UnreadableImage as error:
        raise BadStore(str(error)) from error
    found = meta.get("ome", meta) if isinstance(meta, dict) else {}
    if not isinstance(found, dict):
        raise BadStore("has metadata that is not OME-Zarr's")
    return found


def read_omezarr(listing: Listing, plate: str | None) -> Names:
    """The planes of every OME-Zarr plate of the source."""
    names = Names([], [], [], {}, set())
    refuse = names.refused.append
    for uri in listing.images:
        refuse(RefusedFile(printable(uri), f"{printable(file_name(uri))} is in no OME-Zarr plate."))
    fields: list[Field] = []
    with ThreadPoolExecutor(READERS) as readers:
        for folder in listing.zarrs:
            try:
                wells = list(wells_of(folder))
            except BadStore as problem:
                refuse(RefusedFile(printable(folder), f"{printable(file_name(folder))} {problem}."))
                continue
            for found in readers.map(fields_of, wells):
                fields += [one for one in found if isinstance(one, Field)]
                names.refused.extend(one for one in found if isinstance(one, RefusedFile))
        for one, planes in zip(fields, readers.map(planes_of, fields), strict=True):
            names.plates_in_names.add(one.plate)
            if isinstance(planes, RefusedFile):
                refuse(planes)
                continue
            for plane, number in planes:
                names.planes.append(replace(plane, plate=plate or plane.plate))
                names.channel_numbers.setdefault(plane.channel, number)
    return names


def wells_of(folder: str) -> Iterator[tuple[str, str, WellPosition]]:
    """Folder, plate and position of each well of a plate. BadStore when the folder is no plate."""
    meta = attributes_of(folder)
    plate = meta.get("plate")
    if not isinstance(plate, dict):
        kind = "is one OME-Zarr image" if "multiscales" in meta else "is Zarr"
        raise BadStore(f"{kind}, not an OME-Zarr plate, so nothing says in which well it is")
    try:
        name = clean_name(str(plate.get("name") or "")) or ENDING.sub("", file_name(folder))
        for well in plate["wells"]:
            path = safe_path(well["path"])
            yield f"{folder}/{path}", name, position_of(well, path)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadStore(f"has plate metadata that makes no sense ({error})") from error


def position_of(well: dict, path: str) -> WellPosition:
    """The place by the folders B/03, else by the numbers from 0."""
    try:
        return parse_well("".join(path.split("/")[-2:]))
    except ValueError:
        return WellPosition(int(well["rowIndex"]) + 1, int(well["columnIndex"]) + 1)


def safe_path(path: object) -> str:
    """A path inside the store. ValueError when it leads out of it."""
    parts = str(path).strip("/").split("/")
    if not isinstance(path, str) or any(part in ("", ".", "..") for part in parts) or "://" in path:
        raise ValueError(f"{path!r} is no path in the plate")
    return "/".join(parts)


def fields_of(well: tuple[str, str, WellPosition]) -> list[Field | RefusedFile]:
    """The fields of a well; their names are numbers, which are the sites."""
    folder, plate, position = well
    try:
        images = attributes_of(folder)["well"]["images"]
        found: list[Field | RefusedFile] = []
        for index, image in enumerate(images):
            path = safe_path(image["path"])
            site = int(path) if path.isascii() and path.isdigit() and len(path) < 9 else index
            found.append(Field(f"{folder}/{path}", plate, position, site))
        return found
    except BadStore as problem:
        reason = str(problem)
    except (KeyError, TypeError, ValueError) as error:
        reason = f"has metadata that makes no sense ({error})"
    return [RefusedFile(printable(folder), f"Well {position.name} of plate {plate} {reason}.")]


def planes_of(one: Field) -> list[tuple[PlaneSource, int]] | RefusedFile:
    """The planes of a field at full resolution, each with its channel's number; or why there are none."""
    try:
        meta = attributes_of(one.folder)
        scales = meta["multiscales"][0]
        folder = f"{one.folder}/{safe_path(scales['datasets'][0]['path'])}"
        with reasons_for(folder):
            facts = array_facts(folder)
        axes = axes_of(scales, len(facts.shape))
        if facts.n_planes > MAX_PAGES:
            raise BadStore(f"claims {facts.n_planes:,} planes")
        size = dict(zip(axes, facts.shape, strict=True))
        names = channel_names(meta, size.get("c", 1))
        planes = []
        for page in range(facts.n_planes):
            index = (
                dict(zip(axes[:-2], map(int, np.unravel_index(page, facts.shape[:-2])), strict=True))
                if len(axes) > 2
                else {}
            )
            c = index.get("c", 0)
            z = index.get("z", 0) + 1 if size.get("z", 1) > 1 else None
            timepoint = index.get("t", 0) + 1
            planes.append(
                (PlaneSource(array_uri(folder), one.plate, one.well, one.site, names[c], timepoint, z, page), c)
            )
        return planes
    except (BadStore, UnreadableImage) as problem:
        reason = str(problem)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        reason = f"has metadata that makes no sense ({error})"
    where = f"Well {one.well.name}, site {one.site} of plate {one.plate}"
    return RefusedFile(printable(one.folder), f"{where} {reason}.")


def axes_of(scales: dict, n_axes: int) -> str:
    """The axes' letters in the array's order. BadStore unless they end with y, x."""
    given = scales.get("axes")
    names = [str(axis["name"] if isinstance(axis, dict) else axis).casefold() for axis in given] if given else None
    axes = "".join(names) if names else DEFAULT_AXES[-n_axes:]
    if len(axes) != n_axes or not axes.endswith("yx") or len(set(axes)) != n_axes or set(axes) - set(DEFAULT_AXES):
        raise BadStore(f"has axes {axes}, where cellqc reads {DEFAULT_AXES} in this order or some of them")
    return axes


def channel_names(meta: dict, n_channels: int) -> list[str]:
    """Labels of the channels, else numbers."""
    omero = meta.get("omero")
    given = omero.get("channels") if isinstance(omero, dict) else None
    labels = [clean_name(str(one.get("label") or "")) for one in given] if isinstance(given, list) else []
    numbered = {number: labels[number - 1] if number <= len(labels) else "" for number in range(1, n_channels + 1)}
    return list(distinct_names(numbered, lambda number: f"Channel {number}").values())


def count_plates(listing: Listing) -> int:
    """How many of the source's Zarr folders are plates."""
    count = 0
    for folder in listing.zarrs:
        try:
            count += isinstance(attributes_of(folder).get("plate"), dict)
        except (BadStore, SourceError):
            continue
    return count


OMEZARR = Layout(
    name="ome-zarr",
    title="OME-Zarr plate",
    explanation="A folder whose metadata lists the wells, fields and channels (OME-Zarr 0.4 and 0.5).",
    example="Plate1.zarr",
    pattern=NO_NAME,
    read_source=read_omezarr,
    count=count_plates,
    names_pages=True,
)
