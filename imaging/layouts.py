"""Layouts: how a microscope names its files, and from a folder of names to planes of plates.

To add a layout, describe it as a `Layout` and list it in `LAYOUTS`. A regular expression on the file's name,
with the groups of `GROUPS`, is usually enough; `folders` reads more from folder names, `refine` corrects what
was read, and `read_source` replaces the reading of names where an index file says more.
"""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from statistics import median_low
from typing import NamedTuple

import fsspec

from imaging.reading import local_path
from imaging.wells import WellPosition, parse_column, parse_row, parse_well

IMAGE_EXTENSIONS = (".tif", ".tiff", ".png")
SYSTEM_FILES = {"thumbs.db", "desktop.ini", "__macosx"}
# Folders that sort files but name no plate.
PLAIN_FOLDERS = re.compile(r"images?|tiffs?|raw|data", re.IGNORECASE)

GROUPS = ("plate", "well", "row", "column", "site", "channel", "channel_number", "timepoint", "z")
EXTENSION = r"\.(?:tiff?|png)$"
NUMBER = re.compile(r"[0-9]{1,9}")


class SourceError(Exception):
    """Why a folder or bucket cannot be taken as a whole, in a sentence for a scientist."""


@dataclass(frozen=True, slots=True)
class PlaneSource:
    """Where one plane of one channel is, and what it shows.

    Rows, columns and pages: rows and columns count from 1, pages from 0. Sites, timepoints and z keep the
    microscope's numbers. `z` is None for a projection and where the microscope took one plane.
    """

    uri: str
    plate: str
    well: WellPosition
    site: int
    channel: str
    timepoint: int = 1
    z: int | None = None
    page: int = 0


@dataclass(frozen=True)
class RefusedFile:
    """An image file that was not taken, and a sentence saying why."""

    uri: str
    reason: str


@dataclass(frozen=True)
class Listing:
    """The files of a source in natural order: images, and the others, which are ignored."""

    source: str
    images: list[str]
    ignored: list[str]


class Names(NamedTuple):
    """What a layout read: planes, refusals, and files that are not to be measured (thumbnails)."""

    planes: list[PlaneSource]
    refused: list[RefusedFile]
    skipped: list[str]
    channel_numbers: dict[str, int]
    plates_in_names: set[str]


@dataclass(frozen=True)
class Layout:
    """How one microscope, or one lab, names its files."""

    name: str
    title: str
    explanation: str
    example: str
    pattern: re.Pattern[str]
    # Searched in the name of each folder above the file, nearest first; such folders name no plate.
    folders: tuple[re.Pattern[str], ...] = ()
    # File names of this layout that are not to be measured.
    skip: re.Pattern[str] | None = None
    # Search the pattern in the path from the source down, not in the file's name alone.
    whole_path: bool = False
    # Corrects the groups that were read.
    refine: Callable[[dict[str, str]], dict[str, str]] | None = None
    # Replaces the reading of names: the listing (with its index files) and the given plate, to planes.
    read_source: Callable[[Listing, str | None], Names] | None = None

    def find(self, uri: str) -> re.Match[str] | None:
        """The match of this layout's pattern on a file, or None when the name does not follow it."""
        return self.pattern.search(uri if self.whole_path else file_name(uri))

    def skips(self, uri: str) -> bool:
        """Whether this layout knows the file as one that is not to be measured."""
        return self.skip is not None and self.skip.search(file_name(uri)) is not None


@dataclass(frozen=True)
class LayoutGuess:
    """The layout that understands most of the files: `matched` of `total`; None when none understands any."""

    layout: Layout | None
    matched: int
    total: int
    explanation: str


@dataclass(frozen=True)
class Understood:
    """What a source holds: planes, refused image files, and how many files were ignored.

    Planes are in channel order, within a channel in file order; `channels` are the names in that order.
    """

    layout: Layout | None
    planes: list[PlaneSource]
    refused: list[RefusedFile]
    n_ignored: int
    explanation: str
    channels: list[str] = field(default_factory=list)


class ChosenPlanes(NamedTuple):
    """One plane for each field and channel, and how many further z planes were left out."""

    planes: list[PlaneSource]
    n_left_out: int


# The layouts


def projection_is_no_z_step(groups: dict[str, str]) -> dict[str, str]:
    """ImageXpress numbers z steps from 1 and keeps the projection of them in ZStep_0."""
    return {key: value for key, value in groups.items() if not (key == "z" and int(value) == 0)}


SBS = Layout(
    name="sbs",
    title="Channel, number, row, column",
    explanation="One file per channel and well, named by channel, a running number, row letter and column.",
    example="Channel1-01-A-01.tif",
    pattern=re.compile(
        r"^(?P<channel>[^-]+)-[0-9]+-(?P<row>[A-Z]{1,2})-(?P<column>[0-9]{1,2})" + EXTENSION, re.IGNORECASE
    ),
)
ARRAYSCAN = Layout(
    name="arrayscan",
    title="ArrayScan (Cellomics)",
    explanation="Instrument, plate id, well, field and channel; fields count from 0, as in the file names.",
    example="AS_09047_050428030001_O15f01d2.TIF",
    pattern=re.compile(
        r"^.+_(?P<plate>[0-9]+)_(?P<well>[A-Z]{1,2}[0-9]{1,2})f(?P<site>[0-9]+)(?P<channel>d[0-9]+)" + EXTENSION,
        re.IGNORECASE,
    ),
)
WELL_PLATE_CHANNEL_SITE = Layout(
    name="well-plate-channel-site",
    title="Well, plate, channel, site",
    explanation="Well, plate, channel number, site, channel name and timepoint, separated by underscores.",
    example="B7_01_1_3_DAPI_001.tif",
    pattern=re.compile(
        r"^(?P<well>[A-Z]{1,2}[0-9]{1,2})_(?P<plate>[^_]+)_(?P<channel_number>[0-9]+)_(?P<site>[0-9]+)"
        r"_(?P<channel>.+)_(?P<timepoint>[0-9]+)" + EXTENSION,
        re.IGNORECASE,
    ),
)
IMAGEXPRESS = Layout(
    name="imagexpress",
    title="ImageXpress (MetaXpress)",
    explanation="Plate, well, site, wavelength; folders such as TimePoint_1 and ZStep_1 add time and z.",
    example="1well-3C-2S_C07_s2_w1EADF08BD-3BFB-44F3-8214-24B191F3D15C.tif",
    # The id after the wavelength starts with eight hex digits: w29E8DE988-... is wavelength 2, not 29.
    pattern=re.compile(
        r"^(?P<plate>.+)_(?P<well>[A-Z]{1,2}[0-9]{2})(?:_s(?P<site>[0-9]+))?_(?P<channel>w[0-9]{1,2})"
        r"(?:[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12})?" + EXTENSION,
        re.IGNORECASE,
    ),
    folders=(
        re.compile(r"^TimePoint_(?P<timepoint>[0-9]+)$", re.IGNORECASE),
        re.compile(r"^ZStep_(?P<z>[0-9]+)$", re.IGNORECASE),
    ),
    skip=re.compile(r"_thumb[^_]*$", re.IGNORECASE),  # a plate may have the word in its name
    refine=projection_is_no_z_step,
)

# In the order in which a tie is broken: a form that is harder to meet by chance comes first.
LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in (IMAGEXPRESS, ARRAYSCAN, WELL_PLATE_CHANNEL_SITE, SBS)}


def custom_layout(pattern: str) -> Layout:
    """A layout from a user's regular expression with named groups, searched in each file's name.

    Groups: `channel`, and `well` or both `row` and `column`, are needed; `plate`, `site`, `timepoint`, `z`
    and `channel_number` (the channels' order) are optional. Capital letters do not matter. A pattern with
    a "/" is searched in the path from the source down. ValueError, with a sentence, when the expression is
    not valid or a group is missing or unknown.
    """
    if not pattern.strip():
        raise ValueError("The pattern is empty; write one such as (?P<well>[A-P][0-9]{2})_(?P<channel>w[0-9]).")
    if "(?<" in re.sub(r"\(\?<[=!]", "", pattern):
        raise ValueError("The pattern names a group with (?<name>; write (?P<name> with a P.")
    lowered = re.sub(r"(?<=\(\?P[<=])\w+", lambda found: found[0].lower(), pattern)
    try:
        compiled = re.compile(lowered, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"The pattern is not a valid regular expression: {error}.") from error
    check_groups(set(compiled.groupindex))
    return Layout(
        name="custom",
        title="Your own pattern",
        explanation="File names are read with a regular expression.",
        example=pattern,
        pattern=compiled,
        whole_path="/" in pattern,
    )


def check_groups(groups: set[str]) -> None:
    """Raise ValueError naming the group that is unknown, missing or too many."""
    for group in sorted(groups - set(GROUPS)):
        close = get_close_matches(group, GROUPS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"The pattern has a group {group!r} that cellqc does not know.{hint} Groups: {', '.join(GROUPS)}."
        )
    if "channel" not in groups:
        raise ValueError("The pattern has no group 'channel'; add (?P<channel>...) around the channel's name.")
    if "well" in groups and groups & {"row", "column"}:
        raise ValueError("The pattern has 'well' and also 'row' or 'column'; keep one of the two ways.")
    if "well" not in groups and not {"row", "column"} <= groups:
        missing = " and ".join(repr(group) for group in ("row", "column") if group not in groups)
        needed = "'well'" if not groups & {"row", "column"} else f"'well', and no {missing}"
        raise ValueError(f"The pattern has no group {needed}; name the well, or both its row and its column.")


# Listing


def list_source(source: str) -> Listing:
    """All files under a local folder or an fsspec URI, images apart from the rest, in natural order.

    URIs of local files are absolute paths. Hidden and system files are ignored, and so is what has no image
    extension. SourceError when the folder is missing, a file, not readable, or holds no image file.
    """
    path = local_path(source)
    root, found = list_local(path) if path is not None else list_remote(source)
    images: list[str] = []
    ignored: list[str] = []
    for uri in sorted(found, key=natural_key):
        (images if is_image_name(uri.removeprefix(root)) else ignored).append(uri)
    if not found:
        raise SourceError(f"{root} is empty.")
    if not images:
        raise SourceError(
            f"{root} holds no image files ({', '.join(IMAGE_EXTENSIONS)}), only {describe_files(ignored)}."
        )
    return Listing(root, images, ignored)


def list_files(source: str) -> list[str]:
    """The image files under a local folder or an fsspec URI, in natural order; errors as `list_source`."""
    return list_source(source).images


def list_local(path: str) -> tuple[str, list[str]]:
    """The absolute folder, and the paths of all files below it; links to folders are followed once."""
    root = os.path.abspath(os.path.expanduser(path))
    if not os.path.exists(root):
        raise SourceError(f"There is no folder {root}.")
    if not os.path.isdir(root):
        raise SourceError(f"{root} is a file; give the folder that holds the images.")
    found: list[str] = []
    seen = {os.path.realpath(root)}
    for folder, below, names in os.walk(root, onerror=refuse_folder, followlinks=True):
        below.sort()
        below[:] = [name for name in below if not is_seen(os.path.join(folder, name), seen)]
        found.extend(os.path.join(folder, name) for name in names)
    return root, found


def is_seen(folder: str, seen: set[str]) -> bool:
    """Whether a folder was visited before under any name; if not, it is noted. Links may make a loop."""
    real = os.path.realpath(folder)
    if real in seen:
        return True
    seen.add(real)
    return False


def refuse_folder(error: OSError) -> None:
    """A folder that cannot be listed would lose its images without a word."""
    if isinstance(error, PermissionError):
        raise SourceError(
            f"The folder {error.filename} may not be read by this account; ask for read access."
        ) from error
    raise SourceError(f"The folder {error.filename} could not be read ({error.strerror}).") from error


def list_remote(source: str) -> tuple[str, list[str]]:
    """The source, and the URIs of all files below it on other storage."""
    try:
        filesystem, path = fsspec.core.url_to_fs(source)
        if not filesystem.exists(path):
            raise SourceError(f"There is nothing at {source}.")
        if filesystem.isfile(path):
            raise SourceError(f"{source} is a file; give the folder that holds the images.")
        return source.rstrip("/"), [filesystem.unstrip_protocol(name) for name in filesystem.find(path)]
    except SourceError:
        raise
    except PermissionError as error:
        raise SourceError(f"{source} may not be read with this account's credentials.") from error
    except (ImportError, ValueError) as error:
        raise SourceError(f"This installation has no driver for {source.split('://')[0]}:// addresses.") from error
    except Exception as error:  # each storage driver has its own errors
        raise SourceError(f"{source} could not be listed ({error}).") from error


def is_image_name(path: str) -> bool:
    """Whether a path below the source has an image's extension and no hidden or system part."""
    parts = [part for part in path.split("/") if part]
    if any(part.startswith(".") or part.lower() in SYSTEM_FILES for part in parts):
        return False
    return path.lower().endswith(IMAGE_EXTENSIONS)


def natural_key(text: str) -> tuple[list[str | int], str]:
    """Sorts img2 before img10; the text itself settles what is otherwise equal."""
    parts = re.split(r"([0-9]+)", text.casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], text


def file_name(uri: str) -> str:
    """The last part of a path or URI."""
    return uri.rsplit("/", 1)[-1]


def describe_files(uris: Iterable[str]) -> str:
    """Such as "3 other files (2 .htd, 1 .csv)"."""
    kinds = Counter(os.path.splitext(file_name(uri))[1].lower() or "without extension" for uri in uris)
    listed = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(5))
    return f"{counted(kinds.total(), 'other file')} ({listed})"


def counted(number: int, noun: str) -> str:
    """Such as "1 plate" or "2,304 planes"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


# Reading names


def guess_layout(uris: Sequence[str]) -> LayoutGuess:
    """The layout that understands most of the files; between equals the first in `LAYOUTS`."""
    counts = {name: sum(1 for uri in uris if understands(layout, uri)) for name, layout in LAYOUTS.items()}
    best = max(counts, key=lambda name: counts[name])  # max keeps the first of equals
    if counts[best] == 0:
        example = f" The first is {file_name(uris[0])}." if uris else ""
        known = "; ".join(layout.example for layout in LAYOUTS.values())
        explanation = f"No known layout fits the names of {counted(len(uris), 'file')}.{example} Known are: {known}."
        return LayoutGuess(None, 0, len(uris), explanation)
    layout = LAYOUTS[best]
    share = f"{counts[best]:,} of {counted(len(uris), 'file')}"
    explanation = f"{share} are named like {layout.title}, such as {layout.example}."
    return LayoutGuess(layout, counts[best], len(uris), explanation)


def understands(layout: Layout, uri: str) -> bool:
    """Whether the file's name follows the layout and is to be measured."""
    return layout.find(uri) is not None and not layout.skips(uri)


def read_layout(source: str, *, layout: str | Layout | None = None, plate: str | None = None) -> Understood:
    """List a source and read every name: planes, refusals with reasons, and the number of files ignored.

    `layout` is a Layout, a name in `LAYOUTS` or a regular expression for `custom_layout` (ValueError when it
    is neither); guessed when None. `plate` is the barcode of all files; SourceError when the file names say
    they are of several plates. Other errors as `list_source`.
    """
    listing = list_source(source)
    guess = None if layout is not None else guess_layout(listing.images)
    chosen = named_layout(layout) if guess is None else guess.layout
    if chosen is None:
        assert guess is not None
        refused = [
            RefusedFile(printable(uri), f"{printable(file_name(uri))} follows no known layout.")
            for uri in listing.images
        ]
        return Understood(None, [], refused, len(listing.ignored), guess.explanation)
    barcode = clean_name(plate or "")
    read = chosen.read_source or (lambda files, given: read_names(chosen, files, given))
    names = read(listing, barcode or None)
    if barcode and len(names.plates_in_names) > 1:
        plates = ", ".join(sorted(names.plates_in_names, key=natural_key)[:5])
        raise SourceError(
            f"You named one plate ({barcode}), but the file names are of {len(names.plates_in_names)} plates "
            f"({plates}). Leave the plate empty, or choose the folder of one plate."
        )
    planes, duplicates = without_duplicates(names.planes, listing.source)
    refused = [*names.refused, *duplicates]
    ignored = [*listing.ignored, *names.skipped]
    channels = sorted({p.channel for p in planes}, key=lambda c: (names.channel_numbers.get(c, 0), natural_key(c)))
    planes.sort(key=lambda plane: channels.index(plane.channel))
    explanation = explain(chosen, planes, refused, ignored, channels)
    return Understood(chosen, planes, refused, len(ignored), explanation, channels)


def named_layout(layout: str | Layout | None) -> Layout:
    """The layout itself, the one of that name, or that of a regular expression; ValueError otherwise."""
    if isinstance(layout, Layout):
        return layout
    if layout is not None and "(" in layout:
        return custom_layout(layout)
    if layout not in LAYOUTS:
        raise ValueError(f"There is no layout {layout!r}; there are: {', '.join(LAYOUTS)}.")
    return LAYOUTS[layout]


def read_names(layout: Layout, listing: Listing, plate: str | None) -> Names:
    """Read each image's name by the layout's pattern."""
    names = Names([], [], [], {}, set())
    for uri in listing.images:
        if layout.skips(uri):
            names.skipped.append(uri)
            continue
        try:
            groups = read_groups(layout, uri, listing.source)
            plane = plane_from(groups, uri, plate or folder_plate(layout, uri), plate)
        except ValueError as error:
            names.refused.append(RefusedFile(printable(uri), f"{printable(file_name(uri))}: {error}"))
            continue
        names.planes.append(plane)
        note_channel_number(names.channel_numbers, plane.channel, groups)
        if groups.get("plate"):
            names.plates_in_names.add(clean_name(groups["plate"]))
    return names


def read_groups(layout: Layout, uri: str, source: str) -> dict[str, str]:
    """The layout's groups in the names of the file and its folders. ValueError saying what was expected."""
    if uri != printable(uri):
        raise ValueError("its name holds bytes that are no text; rename it")
    found = layout.find(uri.removeprefix(source) if layout.whole_path else uri)
    if found is None:
        raise ValueError(f"its name does not follow the layout {layout.name}; expected one such as {layout.example}")
    groups = {key: value for key, value in found.groupdict().items() if value}
    for folder in folders_above(uri) if layout.folders else ():
        for pattern in layout.folders:
            in_folder = pattern.search(folder)
            if in_folder is not None:
                groups = {**in_folder.groupdict(), **groups}
    return layout.refine(groups) if layout.refine is not None else groups


def plane_from(groups: dict[str, str], uri: str, default_plate: str, given_plate: str | None) -> PlaneSource:
    """The plane of the groups read from one file. ValueError when a group's value makes no sense."""
    channel = clean_name(groups.get("channel", ""))
    if not channel:
        raise ValueError("its name has no channel")
    return PlaneSource(
        uri=uri,
        plate=given_plate or clean_name(groups.get("plate", "")) or default_plate,
        well=well_from(groups),
        site=number_from(groups, "site", default=1),
        channel=channel,
        timepoint=number_from(groups, "timepoint", default=1),
        z=number_from(groups, "z", default=0) if groups.get("z") else None,
    )


def well_from(groups: dict[str, str]) -> WellPosition:
    """The well of the groups `well`, or `row` and `column`. ValueError when it is none."""
    if groups.get("well"):
        return parse_well(groups["well"])
    if groups.get("row") and groups.get("column"):
        return WellPosition(parse_row(groups["row"]), parse_column(groups["column"]))
    raise ValueError("its name has no well")


def number_from(groups: dict[str, str], group: str, *, default: int) -> int:
    """The whole number of a group, or the default where it is absent. ValueError when it is no number."""
    text = groups.get(group)
    if not text:
        return default
    if NUMBER.fullmatch(text) is None:
        raise ValueError(f"its {group} is {text!r}, which is not a whole number")
    return int(text)


def note_channel_number(numbers: dict[str, int], channel: str, groups: dict[str, str]) -> None:
    """Remember the lowest number a channel was seen with."""
    number = number_from(groups, "channel_number", default=0)
    numbers[channel] = min(number, numbers.get(channel, number))


def folders_above(uri: str) -> list[str]:
    """The names of the folders above a file, nearest first."""
    return [part for part in uri.split("://", 1)[-1].split("/")[-2::-1] if part]


def folder_plate(layout: Layout, uri: str) -> str:
    """The nearest folder's name that may be a plate's: neither a sorting folder nor one the layout reads."""
    for folder in folders_above(uri):
        if PLAIN_FOLDERS.fullmatch(folder) is None and not any(p.search(folder) for p in layout.folders):
            return clean_name(folder)
    return "plate"


def clean_name(text: str) -> str:
    """A plate's or channel's name, equal however a file system composed its accents."""
    return unicodedata.normalize("NFC", text).strip()


def printable(uri: str) -> str:
    """The URI with bytes that are no text replaced, so that it can be stored and shown."""
    return uri.encode("utf-8", "replace").decode()


def without_duplicates(planes: list[PlaneSource], source: str) -> tuple[list[PlaneSource], list[RefusedFile]]:
    """The planes with one file for each place, and the later files of the same place, refused."""
    first: dict[tuple[object, ...], PlaneSource] = {}
    refused: list[RefusedFile] = []
    for plane in planes:
        place = (plane.plate, plane.well, plane.site, plane.channel, plane.timepoint, plane.z)
        kept = first.setdefault(place, plane)
        if kept is not plane:
            refused.append(RefusedFile(plane.uri, duplicate_reason(plane, kept, source)))
    return list(first.values()), refused


def duplicate_reason(plane: PlaneSource, kept: PlaneSource, source: str) -> str:
    """Why the later of two files for one place is refused, naming the first."""
    place = f"plate {plane.plate}, well {plane.well.name}, site {plane.site}, channel {plane.channel}"
    earlier = kept.uri.removeprefix(source).lstrip("/")
    return f"{file_name(plane.uri)}: {earlier} is already the image of {place}; remove one of the two."


def explain(
    layout: Layout,
    planes: list[PlaneSource],
    refused: list[RefusedFile],
    ignored: list[str],
    channels: list[str],
) -> str:
    """What was understood, in two or three sentences."""
    plates = {plane.plate for plane in planes}
    wells = {(plane.plate, plane.well) for plane in planes}
    sentences = [
        f"Read as {layout.title}: {counted(len(planes), 'image file')} of {counted(len(plates), 'plate')}, "
        f"{counted(len(wells), 'well')}, {counted(len(channels), 'channel')} ({', '.join(channels)})."
    ]
    if refused:
        sentences.append(f"{counted(len(refused), 'image file')} refused.")
    if ignored:
        sentences.append(f"Ignored: {describe_files(ignored)}.")
    return " ".join(sentences)


# Choosing among z planes


def choose_z(planes: Sequence[PlaneSource]) -> ChosenPlanes:
    """One plane for each field and channel: the projection (z None) where there is one, else the middle z.

    Of an even number of z planes the lower of the two in the middle. Each channel is chosen by itself.
    """
    stacks: dict[tuple[object, ...], list[PlaneSource]] = {}
    for plane in planes:
        place = (plane.plate, plane.well, plane.site, plane.channel, plane.timepoint)
        stacks.setdefault(place, []).append(plane)
    chosen = [choose_from_stack(stack) for stack in stacks.values()]
    return ChosenPlanes(chosen, len(planes) - len(chosen))


def choose_from_stack(stack: list[PlaneSource]) -> PlaneSource:
    """The projection of a stack, or its middle plane by z."""
    by_z: dict[int | None, PlaneSource] = {}
    for plane in stack:
        by_z.setdefault(plane.z, plane)
    if None in by_z:
        return by_z[None]
    return by_z[median_low(z for z in by_z if z is not None)]
