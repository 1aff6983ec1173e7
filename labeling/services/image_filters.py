"""Which images are asked for: by place, treatment, metric, label, and side of a rule, over all images at once.

Several values of one filter widen it, different filters narrow: plate 1 or plate 2, and labelled bad. The page and the
REST list read the same words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from imaging.wells import WellPosition, parse_column, parse_row, parse_well, row_letters
from labeling.models import Defect, User, Verdict, Well
from labeling.problems import BadValue
from labeling.services.image_tables import WellColumns
from labeling.services.rules import Condition

NONE, DISPUTED = "none", "disagree"
GIVEN = (Verdict.GOOD.value, Verdict.BAD.value, Verdict.UNSURE.value)
LABELS = (*GIVEN, NONE, DISPUTED)
FLAGGED, KEPT, UNSCORED = "flagged", "kept", "unscored"
SIDES = (FLAGGED, KEPT, UNSCORED)
ROLES = tuple(Well.Role.values)
DEFECTS = tuple(Defect.values)
MOST_VALUES = 200  # of one filter: an address has to stay one
SEVERAL = re.compile(r"[,;\s]+")
PLACES = {"row": r"row ([a-z]{1,2})", "column": r"col(?:umn)? (\d{1,3})", "site": r"s(?:ite )?(\d{1,9})"}
ALL_WORDS = {NONE: "not labelled", DISPUTED: "people disagree", UNSCORED: "not scored"}


@dataclass(frozen=True)
class WellClass:
    """What wells hold in one respect: a value of a treatment field, or a control class."""

    field: str
    value: str

    def __str__(self) -> str:
        return f"{self.field}={self.value}"

    @classmethod
    def parse(cls, text: str) -> WellClass:
        field, separator, value = text.partition("=")
        if not (field and separator and value):
            raise BadValue(f"{text!r} is no treatment; it reads field=value, such as compound=DMSO.")
        return cls(field, value)


@dataclass(frozen=True)
class ImageFilter:
    """What an address asks for; a filter without values lets every image pass. Fields are called as in addresses."""

    plate: tuple[str, ...] = ()
    well: tuple[WellPosition, ...] = ()
    row: tuple[int, ...] = ()
    column: tuple[int, ...] = ()
    site: tuple[int, ...] = ()
    role: tuple[str, ...] = ()
    treatment: tuple[WellClass, ...] = ()
    metric: tuple[Condition, ...] = ()
    label: tuple[str, ...] = ()
    person: tuple[str, ...] = ()
    defect: tuple[str, ...] = ()
    side: tuple[str, ...] = ()

    @classmethod
    def parse(cls, given: Mapping[str, Iterable[str]]) -> ImageFilter:
        """From lists of texts by name, as in an address; empty texts say nothing. Raises BadValue with a sentence."""
        return cls(**{name: _values(name, given.get(name, ())) for name in NAMES})

    def as_query(self) -> dict[str, list[str]]:
        """The entries of an address that mean this filter."""
        return {name: [written(name, value) for value in getattr(self, name)] for name in self.used}

    @property
    def used(self) -> list[str]:
        """The filters that are on."""
        return [name for name in NAMES if getattr(self, name)]

    def without(self, name: str, value: object = None) -> ImageFilter:
        """The same without one value of a filter, or without the whole filter."""
        kept = () if value is None else tuple(one for one in getattr(self, name) if one != value)
        return replace(self, **{name: kept})

    def with_value(self, name: str, text: str) -> ImageFilter:
        """The same with one more value."""
        return replace(self, **{name: _distinct([*getattr(self, name), *_values(name, [text])])})


NAMES = tuple(field.name for field in fields(ImageFilter))


# --- in words -----------------------------------------------------------------------------------------------


def in_words(name: str, value: Any, channels: list[str]) -> str:
    """A value of a filter as people say it: `plate 0412`, `row B`, `compound DMSO`, `labelled bad`, `not scored`."""
    if name == "treatment":
        return f"{value.field} {value.value}"
    if name == "metric":
        return value.within_in_words(channels)
    if value in ALL_WORDS and name in ("label", "side"):
        return ALL_WORDS[value]
    said = {"label": "labelled", "person": "labelled by", "role": "", "side": ""}.get(name, name)
    words = written(name, value)
    return f"{said} {f'{words} well' if name == 'role' else words}".strip()


def meanings_of(text: str, wells: WellColumns, people: Iterable[User] = ()) -> list[tuple[str, str]]:
    """What a typed word may mean, as (filter, value): `B07` is a well, and a compound where one is called so."""
    word = " ".join(text.split()).casefold()
    if not word:
        return []
    found = []
    found += [
        ("plate", barcode) for barcode in wells.barcodes if word in (barcode.casefold(), f"plate {barcode}".casefold())
    ]
    found += [
        ("treatment", str(one))
        for one in classes_of(wells)
        if word in {said.casefold() for said in (one.value, f"{one.field} {one.value}", str(one))}
    ]
    found += _place_meant(word, wells)
    found += [("role", role) for role in ROLES if word in (role, f"{role} well", f"{role} wells", f"{role}s")]
    found += [("label", label) for label in LABELS if word in (label, f"labelled {label}", ALL_WORDS.get(label))]
    found += [("label", NONE)] if word == "unlabelled" else []
    found += [("defect", defect) for defect in DEFECTS if word == defect]
    found += [("side", side) for side in SIDES if word in (side, ALL_WORDS.get(side))]
    found += [
        ("person", person.username)
        for person in people
        if word.removeprefix("labelled by ") in (person.username.casefold(), person.printed_name.casefold())
    ]
    return found


def classes_of(wells: WellColumns) -> list[WellClass]:
    """Every control class and treatment that some well holds."""
    held = {field: sorted({value for value in values if value}) for field, values in wells.classes.items()}
    return [WellClass(field, value) for field, values in held.items() for value in values]


def _place_meant(word: str, wells: WellColumns) -> list[tuple[str, str]]:
    """A well the experiment has, or `row b`, `column 3`, `site 2`, `s2`."""
    for pattern, name in (
        (r"row ([a-z]{1,2})", "row"),
        (r"col(?:umn)? (\d{1,3})", "column"),
        (r"s(?:ite )?(\d{1,9})", "site"),
    ):
        if found := re.fullmatch(pattern, word):
            return [(name, found[1].upper())]
    try:
        well = parse_well(word.removeprefix("well "))
    except ValueError:
        return []
    is_there = ((wells.rows == well.row) & (wells.columns == well.column)).any()
    return [("well", well.name)] if is_there else []


# --- from and to addresses ----------------------------------------------------------------------------------


def one_of(values: Sequence[str], noun: str) -> Callable[[str], str]:
    """Reads one of a few words."""

    def read(text: str) -> str:
        if text not in values:
            raise BadValue(f"{text!r} is no {noun}; use {', '.join(values[:-1])} or {values[-1]}.")
        return text

    return read


def _whole(text: str) -> int:
    if not (text.isdecimal() and len(text) < 10):
        raise BadValue(f"{text!r} is no site; sites are numbers.")
    return int(text)


READERS: dict[str, Callable[[str], Any]] = {
    "plate": str,
    "well": parse_well,
    "row": parse_row,
    "column": parse_column,
    "site": _whole,
    "role": one_of(ROLES, "role"),
    "treatment": WellClass.parse,
    "metric": Condition.parse,
    "label": one_of(LABELS, "label"),
    "person": str,
    "defect": one_of(DEFECTS, "defect"),
    "side": one_of(SIDES, "side"),
}
# Typed by hand, several at once: `B07, C08`.
LISTED = ("well", "row", "column", "site")


def written(name: str, value: Any) -> str:
    """A value as it stands in an address."""
    if name == "well":
        return value.name
    return row_letters(value) if name == "row" else str(value)


def read_value(name: str, text: str) -> Any:
    """A value of a filter from its text. Raises BadValue with a sentence."""
    try:
        return READERS[name](text)
    except ValueError as problem:  # of a well, row or column, already a sentence
        raise BadValue(str(problem)) from None


def _values(name: str, texts: Iterable[str]) -> tuple[Any, ...]:
    stripped = [text.strip() for text in texts]
    if name in LISTED:
        stripped = [part for text in stripped for part in SEVERAL.split(text)]
    values = _distinct(read_value(name, text) for text in stripped if text)
    if len(values) > MOST_VALUES:
        raise BadValue(f"A filter takes at most {MOST_VALUES} values; {name} has {len(values)}.")
    return values


def _distinct(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(values))
