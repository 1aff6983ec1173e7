"""OME-TIFF: one file holds the channels, z planes and timepoints of a field; its OME-XML says which page is which."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import tifffile

from imaging.layouts.indexed import BadIndex, local_name, number_of, parse_tree, read_index
from imaging.layouts.model import (
    Layout,
    Listing,
    Names,
    Place,
    PlaneSource,
    RefusedFile,
    distinct_names,
    file_name,
    folder_of,
    printable,
)
from imaging.layouts.names import clean_name, folder_plate, number_from, well_from
from imaging.reading import UnreadableImage, open_file, reasons_for
from imaging.wells import WellPosition, parse_well

READERS = 8  # headers are waited for, not computed: threads do
MAX_XML = 2**26
MAX_PLANES = 100_000
# A field's place in a file name: what lies between may be in any order.
WELL_IN_NAME = re.compile(r"(?:^|(?<=[_\- ]))(?P<well>[A-Z]{1,2}[0-9]{1,2})(?=[_\-. ]|f[0-9])", re.IGNORECASE)
SITES_IN_NAME = (
    re.compile(r"(?<=[_\- ])(?:site|field|fov|s)[_\-]?(?P<site>[0-9]{1,4})(?=[_\-. ])", re.IGNORECASE),
    re.compile(r"(?<=[_\- 0-9])f(?P<site>[0-9]{1,4})(?=[_\-. ])", re.IGNORECASE),
)
TIME_IN_NAME = re.compile(r"(?<=[_\- ])t(?P<timepoint>[0-9]{1,4})(?=[_\-. ])", re.IGNORECASE)


@dataclass(frozen=True)
class Page:
    """One page of a file: which image of the OME-XML, channel, z and timepoint it is, counted from 0."""

    image: int
    c: int
    z: int
    t: int
    page: int


@dataclass(frozen=True)
class Described:
    """What a file's OME-XML says: names of channels, size and pages of each image, and where they are on a plate."""

    channels: list[list[str]]
    sizes: list[tuple[int, int, int]]
    pages: list[Page]
    wells: dict[int, tuple[str, WellPosition, int]]  # image -> plate, well, site


def read_ometiff(listing: Listing, plate: str | None) -> Names:
    """The planes of every OME-TIFF of the source."""
    names = Names([], [], [], {}, set())
    with ThreadPoolExecutor(READERS) as readers:
        for uri, found in zip(listing.images, readers.map(describe, listing.images), strict=True):
            if isinstance(found, str):
                names.refused.append(RefusedFile(printable(uri), f"{printable(file_name(uri))} {found}."))
                continue
            try:
                for plane, number in planes_of(uri, found):
                    names.plates_in_names.add(plane.plate)
                    names.planes.append(replace(plane, plate=plate or plane.plate))
                    names.channel_numbers.setdefault(plane.channel, number)
            except ValueError as error:
                names.refused.append(RefusedFile(printable(uri), f"{printable(file_name(uri))}: {error}"))
    return names


def describe(uri: str) -> Described | str:
    """What a file says of its pages, or why it says nothing."""
    try:
        if uri != printable(uri):
            raise BadIndex("has bytes in its name that are no text; rename it")
        xml, n_pages = xml_of(uri)
        tree = parse_tree(xml)
        companion = companion_of(tree)
        if companion:
            tree = parse_tree(read_index(f"{folder_of(uri)}/{companion}"))
        return described(tree, file_name(uri), n_pages)
    except BadIndex as problem:
        return str(problem)


def xml_of(uri: str) -> tuple[str, int]:
    """The OME-XML of a TIFF and its number of pages. BadIndex when it has none."""
    try:
        with reasons_for(uri), open_file(uri) as stream, tifffile.TiffFile(stream) as tiff:
            text = tiff.pages[0].aspage().description or ""
            n_pages = len(tiff.pages)
    except UnreadableImage as error:
        raise BadIndex(str(error)) from error
    if "<OME" not in text and ":OME" not in text:
        raise BadIndex("holds no OME-XML, so nothing says which page is which channel")
    if len(text) > MAX_XML:
        raise BadIndex("holds more OME-XML than an image needs")
    return text, n_pages


def companion_of(tree: ET.Element) -> str:
    """The file beside this one that has the metadata, for a file that has only pixels."""
    for element in children(tree, "BinaryOnly"):
        return file_name(element.get("MetadataFile", "").replace("\\", "/"))
    return ""


def children(element: ET.Element, name: str) -> Iterator[ET.Element]:
    """The children of a name, whatever the schema's year."""
    return (child for child in element if isinstance(child.tag, str) and local_name(child.tag) == name)


def described(tree: ET.Element, name: str, n_pages: int) -> Described:
    """The pages of one file by an OME-XML that may describe several files. BadIndex when it makes no sense."""
    channels: list[list[str]] = []
    sizes: list[tuple[int, int, int]] = []
    pages: list[Page] = []
    ids: dict[str, int] = {}
    next_page = 0
    try:
        for index, image in enumerate(children(tree, "Image")):
            ids[image.get("ID", "")] = index
            pixels = next(children(image, "Pixels"))
            size = (
                number_of(pixels.get("SizeC"), 1),
                number_of(pixels.get("SizeZ"), 1),
                number_of(pixels.get("SizeT"), 1),
            )
            if size[0] * size[1] * size[2] > MAX_PLANES:
                raise BadIndex("claims more planes than a file can hold")
            sizes.append(size)
            channels.append(channel_names(pixels, size[0]))
            found = list(pages_of(index, pixels, size, name, next_page, n_pages))
            next_page = max([next_page, *(page.page + 1 for page in found)])
            pages += found
        wells = wells_of(tree, ids)
    except (ValueError, StopIteration) as error:
        raise BadIndex(f"holds OME-XML that makes no sense ({error})") from error
    if not pages:
        raise BadIndex("holds OME-XML that describes none of its pages")
    return Described(channels, sizes, pages, wells)


def channel_names(pixels: ET.Element, n_channels: int) -> list[str]:
    """Names of channels: Name, else Fluor, else a number; two of one name get their numbers."""
    given = [clean_name(one.get("Name") or one.get("Fluor") or "") for one in children(pixels, "Channel")]
    numbered = {number: given[number - 1] if number <= len(given) else "" for number in range(1, n_channels + 1)}
    return list(distinct_names(numbered, lambda number: f"Channel {number}").values())


def pages_of(
    image: int, pixels: ET.Element, size: tuple[int, int, int], name: str, next_page: int, n_pages: int
) -> Iterator[Page]:
    """The pages of this file that show an image, by its TiffData elements as the OME model defines their defaults."""
    order = pixels.get("DimensionOrder", "XYCZT")[2:]
    extent = dict(zip("CZT", size, strict=True))
    if sorted(order) != ["C", "T", "Z"]:
        raise ValueError(f"DimensionOrder {order}")
    elements = list(children(pixels, "TiffData"))
    if not elements:
        elements = [ET.Element("TiffData", {"IFD": str(next_page), "PlaneCount": str(size[0] * size[1] * size[2])})]
    for element in elements:
        holder = next((one.get("FileName", "") for one in children(element, "UUID")), "")
        if holder and file_name(holder.replace("\\", "/")) != name:
            continue  # a plane of another file of the set
        ifd = number_of(element.get("IFD"), 0)
        default = 1 if element.get("IFD") is not None else n_pages
        first = {axis: number_of(element.get(f"First{axis}"), 0) for axis in "CZT"}
        total = extent["C"] * extent["Z"] * extent["T"]
        start, step = 0, 1
        for axis in order:
            start += first[axis] * step
            step *= extent[axis]
        for offset in range(min(number_of(element.get("PlaneCount"), default), total - start, n_pages - ifd)):
            rest, place = start + offset, {}
            for axis in order:
                rest, place[axis] = divmod(rest, extent[axis])
            yield Page(image, place["C"], place["Z"], place["T"], ifd + offset)


def wells_of(tree: ET.Element, ids: dict[str, int]) -> dict[int, tuple[str, WellPosition, int]]:
    """Plate, well and site of each image that a Plate of the OME-XML holds; sites count from 1 within a well."""
    found: dict[int, tuple[str, WellPosition, int]] = {}
    for plate in children(tree, "Plate"):
        name = clean_name(plate.get("Name") or plate.get("ExternalIdentifier") or "")
        for well in children(plate, "Well"):
            position = WellPosition(number_of(well.get("Row")) + 1, number_of(well.get("Column")) + 1)
            for site, sample in enumerate(children(well, "WellSample"), start=1):
                for reference in children(sample, "ImageRef"):
                    if reference.get("ID", "") in ids:
                        found[ids[reference.get("ID", "")]] = name, position, site
    return found


def planes_of(uri: str, found: Described) -> Iterator[tuple[PlaneSource, int]]:
    """Each page as a plane, with its channel's number. ValueError when nothing says in which well it is."""
    in_name = groups_in_name(file_name(uri))
    n_images = len({page.image for page in found.pages})
    for page in found.pages:
        n_z, n_t = found.sizes[page.image][1:]
        if page.image in found.wells:
            plate, well, site = found.wells[page.image]
        else:
            plate, well = "", well_from(in_name)
            site = page.image + 1 if n_images > 1 else number_from(in_name, "site", default=1)
        place = Place(
            plate or in_name.get("plate", "") or folder_plate(OMETIFF, uri),
            well,
            site,
            found.channels[page.image][page.c],
            page.t + 1 if n_t > 1 else number_from(in_name, "timepoint", default=1),
            page.z + 1 if n_z > 1 else None,
        )
        yield (
            PlaneSource(uri, place.plate, place.well, place.site, place.channel, place.timepoint, place.z, page.page),
            page.c,
        )


def groups_in_name(name: str) -> dict[str, str]:
    """What a file's name says of plate, well, site and timepoint: in P01_F03_s1_t2 the well is F03, of all four."""
    site = next((found for pattern in SITES_IN_NAME for found in [*pattern.finditer(name)][-1:]), None)
    time = TIME_IN_NAME.search(name)
    others = {found.start() for found in (site, time) if found is not None}
    wells = [found for found in WELL_IN_NAME.finditer(name) if is_well(found["well"])]
    # Not what may be a site, if anything else is left; a column of two digits before one of one; then the last.
    well = max(
        wells,
        key=lambda found: (found.start() not in others, found["well"][-2:].isdigit(), found.start()),
        default=None,
    )
    groups: dict[str, str] = {}
    for found in (site, time):
        if found is not None and (well is None or found.start() != well.start()):
            groups |= found.groupdict()
    if well is not None:
        groups |= {"well": well["well"], "plate": clean_name(name[: well.start()].rstrip("_- "))}
    return groups


def is_well(text: str) -> bool:
    """Whether a text is a well of some plate."""
    try:
        parse_well(text)
    except ValueError:
        return False
    return True


OMETIFF = Layout(
    name="ome-tiff",
    title="OME-TIFF",
    explanation="A file for each field, its channels, z planes and timepoints in pages that its OME-XML describes; "
    "the well by the OME-XML's plate, else by the file's name.",
    example="Plate1_B02_s1.ome.tif",
    pattern=re.compile(r"\.ome\.tiff?$", re.IGNORECASE),
    read_source=read_ometiff,
    names_pages=True,
    reads_headers=True,
)
