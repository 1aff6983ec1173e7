"""Which field a row is about: by its columns, or by the names of its files."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TypeVar

from imaging.layouts.loaddata import groups_of_name, plate_of
from imaging.layouts.names import clean_name
from imaging.tables.model import CellError, FieldPlace
from imaging.wells import WellPosition, parse_column, parse_row, parse_well

Parsed = TypeVar("Parsed")
LONGEST_BARCODE = 200
LARGEST_NUMBER = 2**31 - 1  # of a site or timepoint


class PlaceReader:
    """Reads the places of one table's rows. `headers` are the names people know the groups' columns by."""

    def __init__(self, headers: Mapping[str, str], *, plate: str | None, default_plate: str) -> None:
        self.headers = headers
        self.plate = plate
        self.default_plate = default_plate
        self.plates_named: set[str] = set()

    def read(self, cells: Mapping[str, str], address: str) -> FieldPlace:
        """The place of a row from the cells of its place columns and the address of one of its files.

        CellError with the column that makes no sense, and what to do.
        """
        named = _groups_of(address) if address else {}
        well = self._well(cells, named)
        plate = self._plate(cells, named, address)
        site = self._number("site", cells, named)
        return FieldPlace(plate, well.row, well.column, site, self._number("timepoint", cells, named))

    def _well(self, cells: Mapping[str, str], named: Mapping[str, str]) -> WellPosition:
        if cells.get("well"):
            return self._parsed("well", _well_of, cells["well"])
        if cells.get("row") and cells.get("column"):
            row, column = _whole(cells["row"]), _whole(cells["column"])
            return WellPosition(
                self._parsed("row", parse_row, row),
                self._parsed("column", parse_column, column),
            )
        if named.get("well"):
            return parse_well(named["well"])
        if named.get("row") and named.get("column"):
            return WellPosition(parse_row(named["row"]), parse_column(named["column"]))
        column = self.headers.get("well") or self.headers.get("row") or self.headers.get("column") or "well"
        raise CellError(
            column, "the well is missing. Write it as B07 in a column called well, or as two columns row and column."
        )

    def _plate(self, cells: Mapping[str, str], named: Mapping[str, str], address: str) -> str:
        told = clean_name(cells.get("plate", ""))
        if told:
            self.plates_named.add(told)
        # File names of several plates may all say 01; their folders tell them apart.
        from_file = (address and clean_name(_folder_plate(address))) or clean_name(named.get("plate", ""))
        plate = self.plate or told or from_file or self.default_plate
        if len(plate) > LONGEST_BARCODE:
            raise CellError(self.headers.get("plate", "plate"), f"the barcode has {len(plate)} characters; shorten it.")
        return plate

    def _number(self, group: str, cells: Mapping[str, str], named: Mapping[str, str]) -> int:
        text = cells.get(group) or named.get(group) or "1"
        number = _number_of(text)
        if number is None:
            reason = f"{text!r} is not a whole number from 0; number the {group}s of a well."
            raise CellError(self.headers.get(group, group), reason)
        return number

    def _parsed(self, group: str, parse: Callable[[str], Parsed], text: str) -> Parsed:
        try:
            return parse(text)
        except ValueError as error:
            raise CellError(self.headers.get(group, group), str(error)) from error


# The same few texts come back in every row.
_well_of = lru_cache(maxsize=4096)(parse_well)


@lru_cache(maxsize=4096)
def _number_of(text: str) -> int | None:
    """The number of a site or time, such as 3, 3.0, s3 or f03; None when it is none."""
    plain = re.sub(r"^(site|field|fov|s|f|t)[ _-]?(?=[0-9])", "", _whole(text), flags=re.IGNORECASE)
    is_number = re.fullmatch(r"[0-9]{1,10}", plain) is not None and int(plain) <= LARGEST_NUMBER
    return int(plain) if is_number else None


def _whole(text: str) -> str:
    """A number that was saved as 3.0 is 3."""
    return re.sub(r"\.0+$", "", text)


def _groups_of(address: str) -> dict[str, str]:
    try:
        return groups_of_name(address)
    except ValueError:
        return {}


@lru_cache(maxsize=1024)
def _plate_of_folder(folder: str) -> str:
    return plate_of(f"{folder}/file")


def _folder_plate(address: str) -> str:
    folder = address.replace("\\", "/").rpartition("/")[0]
    return _plate_of_folder(folder) if folder else ""
