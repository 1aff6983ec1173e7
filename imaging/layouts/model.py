"""The words of layouts: what a source holds, and how a layout is described."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from imaging.wells import WellPosition

GROUPS = ("plate", "well", "row", "column", "site", "channel", "channel_number", "timepoint", "z")
EXTENSION = r"\.(?:tiff?|png|jpe?g)$"
NO_NAME = re.compile(r"(?!)")  # matches nothing: for layouts that an index describes


class SourceError(Exception):
    """Why a folder or bucket cannot be taken as a whole, in a sentence for a scientist."""


@dataclass(frozen=True, slots=True)
class PlaneSource:
    """Where one plane of one channel is, and what it shows.

    Rows, columns and pages: rows and columns count from 1, pages from 0. Sites, timepoints and z keep the
    microscope's numbers. `z` is None for a projection and where the microscope took one plane. `uri` and `page`
    are what `imaging.reading` takes: besides a file, `uri` may be a Zarr array or a maximum projection.
    """

    uri: str
    plate: str
    well: WellPosition
    site: int
    channel: str
    timepoint: int = 1
    z: int | None = None
    page: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Which plane a missing file would have shown; the fields are those of PlaneSource."""

    plate: str
    well: WellPosition
    site: int
    channel: str
    timepoint: int = 1
    z: int | None = None


@dataclass(frozen=True)
class RefusedFile:
    """An image file that was not taken, and why.

    Without a place `reason` is a sentence. With a place, the microscope or an index says what the file would have
    shown, so that its Image exists and is incomplete; `reason` is then the words after "the file" in a sentence,
    and `uri` names the file, or for a plane that was never taken its record in the index.
    """

    uri: str
    reason: str
    place: Place | None = None


def nothing_more(_uri: str) -> bool:
    """No file outside the source may be read."""
    return False


@dataclass(frozen=True)
class Listing:
    """The files of a source in natural order: images, Zarr folders, and the others, which are ignored.

    `may_read` says of a file outside the source, which an index names, whether it may be taken.
    """

    source: str
    images: list[str]
    ignored: list[str]
    zarrs: list[str] = field(default_factory=list)
    may_read: Callable[[str], bool] = nothing_more


class Names(NamedTuple):
    """What a layout read: planes, refusals, and files that are not to be measured (thumbnails).

    `notes` are sentences for the person who chose the source.
    """

    planes: list[PlaneSource]
    refused: list[RefusedFile]
    skipped: list[str]
    channel_numbers: dict[str, int]
    plates_in_names: set[str]
    notes: tuple[str, ...] = ()


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
    # How many files of a listing the layout understands, where the pattern does not tell.
    count: Callable[[Listing], int] | None = None
    # Files that say what the images show; only named in the explanation.
    index: re.Pattern[str] | None = None
    # Numbers z from 1 also where one plane was taken: then z says nothing.
    numbers_lone_z: bool = False
    # Each page has its own PlaneSource; else the pages of a file are a z stack (`settle`).
    names_pages: bool = False
    # Reads the header of every image: a preview gives it only the first ones.
    reads_headers: bool = False

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

    Planes are in channel order, within a channel in file order; `channels` are the names in that order, also of
    channels of which every plane is missing. `guess` is None when the layout was given.
    """

    layout: Layout | None
    planes: list[PlaneSource]
    refused: list[RefusedFile]
    n_ignored: int
    explanation: str
    channels: list[str] = field(default_factory=list)
    guess: LayoutGuess | None = None

    @property
    def missing(self) -> list[RefusedFile]:
        """The refusals whose place is known: Images exist there, and are incomplete."""
        return [refused for refused in self.refused if refused.place is not None]


@dataclass(frozen=True)
class PreviewRow:
    """How one file was understood, or the reason why it was not."""

    file: str
    plate: str = ""
    well: str = ""
    site: int | None = None
    channel: str = ""
    timepoint: int | None = None
    z: int | None = None
    page: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Preview:
    """How the first files of a source are understood, and why this layout, before anything is stored.

    `n_images` files are there, of which `n_planes` planes would be taken; `n_left_out` are other planes of z stacks,
    `n_refused` files are not understood, `n_missing` planes are named by an index, or by the z rule, and not there.
    """

    layout: Layout | None
    explanation: str
    rows: list[PreviewRow]
    n_images: int
    n_planes: int = 0
    n_left_out: int = 0
    n_refused: int = 0
    n_missing: int = 0


def file_name(uri: str) -> str:
    """The last part of a path or URI."""
    return uri.rsplit("/", 1)[-1]


def folder_of(uri: str) -> str:
    """A path or URI without its last part."""
    return uri.rsplit("/", 1)[0]


def printable(uri: str) -> str:
    """The URI with bytes that are no text replaced, so that it can be stored and shown."""
    return uri.encode("utf-8", "replace").decode()


def natural_key(text: str) -> tuple[list[str | int], str]:
    """Sorts img2 before img10; the text itself settles what is otherwise equal."""
    parts = re.split(r"([0-9]+)", text.casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], text


def counted(number: int, noun: str) -> str:
    """Such as "1 file" or "2,304 files"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def distinct_names(names: Mapping[int, str], unnamed: Callable[[int], str]) -> dict[int, str]:
    """A name for each channel number: the given one, with the number where it is given twice, else `unnamed`."""
    known = {number: name.strip() for number, name in names.items()}
    given = list(known.values())
    return {
        number: f"{name} ({unnamed(number)})" if given.count(name) > 1 and name else name or unnamed(number)
        for number, name in known.items()
    }


def first_of(items: Iterable[str], most: int = 5) -> str:
    """The first few, joined, and whether there are more."""
    listed = list(items)
    return ", ".join(listed[:most]) + (", ..." if len(listed) > most else "")
