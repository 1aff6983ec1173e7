"""Reading planes from names: of the files, and of the folders above them."""

import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

import regex

from imaging.layouts.model import (
    GROUPS,
    Layout,
    Listing,
    Names,
    PlaneSource,
    RefusedFile,
    SourceError,
    file_name,
    printable,
)
from imaging.wells import WellPosition, parse_column, parse_row, parse_well

# Folders that sort files but name no plate.
PLAIN_FOLDERS = re.compile(r"images?|tiffs?|raw|data", re.IGNORECASE)
NUMBER = re.compile(r"[0-9]{1,9}")

# A sound pattern needs microseconds for a name; one that goes back and forth would need years.
PATTERN_SECONDS = 0.5
MAX_PATTERN_LENGTH = 1_000


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


# A user's own pattern


class TimedPattern:
    """A user's regular expression that is given up after `PATTERN_SECONDS` on one name."""

    def __init__(self, pattern: str) -> None:
        self.pattern = regex.compile(pattern, regex.IGNORECASE)

    @property
    def groupindex(self) -> Iterable[str]:
        """The names of its groups."""
        return self.pattern.groupindex

    def search(self, text: str) -> re.Match[str] | None:
        """As `re.Pattern.search`. SourceError when the pattern takes too long: it would on every other name."""
        try:
            return self.pattern.search(text, timeout=PATTERN_SECONDS)
        except TimeoutError as error:
            raise SourceError(
                f"The pattern takes too long on {printable(file_name(text))!r}, because it can match in too many "
                "ways. A repeat inside a repeat, such as (\\w+)*, does that; write the parts one after the other."
            ) from error


def custom_layout(pattern: str) -> Layout:
    """A layout from a user's regular expression with named groups, searched in each file's name.

    Groups: `channel`, and `well` or both `row` and `column`, are needed; `plate`, `site`, `timepoint`, `z`
    and `channel_number` (the channels' order) are optional. Capital letters do not matter. A pattern with
    a "/" is searched in the path from the source down. ValueError, with a sentence, when the expression is
    not valid or a group is missing or unknown. SourceError, when it is used, if it takes too long on a name.
    """
    if not pattern.strip():
        raise ValueError("The pattern is empty; write one such as (?P<well>[A-P][0-9]{2})_(?P<channel>w[0-9]).")
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise ValueError(f"The pattern has {len(pattern):,} letters; write one of up to {MAX_PATTERN_LENGTH:,}.")
    if "(?<" in re.sub(r"\(\?<[=!]", "", pattern):
        raise ValueError("The pattern names a group with (?<name>; write (?P<name> with a P.")
    lowered = re.sub(r"(?<=\(\?P[<=])\w+", lambda found: found[0].lower(), pattern)
    try:
        re.compile(lowered, re.IGNORECASE)  # stricter: `regex` takes two groups of one name
        compiled = TimedPattern(lowered)
    except (re.error, regex.error, RecursionError, OverflowError) as error:
        raise ValueError(f"The pattern is not a valid regular expression: {error}.") from error
    check_groups(set(compiled.groupindex))
    return Layout(
        name="custom",
        title="Your own pattern",
        explanation="File names are read with a regular expression.",
        example=pattern,
        pattern=compiled,  # type: ignore[arg-type]
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
