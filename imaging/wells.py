"""Wells: a name such as B07 and its place on a plate, and the plate formats a lab buys."""

import re
from collections.abc import Iterable
from typing import NamedTuple

# Wells on a plate -> (rows, columns). 1536 is the largest plate sold; its rows run to AF.
PLATE_FORMATS: dict[int, tuple[int, int]] = {
    6: (2, 3),
    12: (3, 4),
    24: (4, 6),
    48: (6, 8),
    96: (8, 12),
    384: (16, 24),
    1536: (32, 48),
}
MAX_ROWS, MAX_COLUMNS = PLATE_FORMATS[1536]

WELL_NAME = re.compile(r"([A-Za-z]{1,2})([0-9]{1,3})")


class WellPosition(NamedTuple):
    """A place on a plate: row and column, both counted from 1 (row 2, column 7 is B07)."""

    row: int
    column: int

    @property
    def name(self) -> str:
        """The name the lab writes: letters, then a column of two digits (B07, AA12)."""
        return f"{row_letters(self.row)}{self.column:02d}"


def row_letters(row: int) -> str:
    """The letters of a row counted from 1: 1 is A, 26 is Z, 27 is AA."""
    letters = ""
    while row > 0:
        row, letter = divmod(row - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return letters


def parse_row(text: str) -> int:
    """Row number, from 1, of letters (B, aa) or of a number (2). ValueError when it is on no plate."""
    cell = text.strip()
    if re.fullmatch(r"[A-Za-z]{1,2}", cell):
        row = 0
        for letter in cell.upper():
            row = row * 26 + ord(letter) - ord("A") + 1
    elif re.fullmatch(r"[0-9]{1,3}", cell):
        row = int(cell)
    else:
        raise ValueError(f"{text!r} is not a row; rows are letters such as B or AA, or numbers from 1.")
    if not 1 <= row <= MAX_ROWS:
        raise ValueError(f"Row {cell} is on no plate; the largest plate has rows A to {row_letters(MAX_ROWS)}.")
    return row


def parse_column(text: str) -> int:
    """Column number, from 1, of "7" or "07". ValueError when it is on no plate."""
    cell = text.strip()
    if not re.fullmatch(r"[0-9]{1,3}", cell):
        raise ValueError(f"{text!r} is not a column; columns are numbers from 1.")
    if not 1 <= int(cell) <= MAX_COLUMNS:
        raise ValueError(f"Column {cell} is on no plate; the largest plate has columns 1 to {MAX_COLUMNS}.")
    return int(cell)


def parse_well(text: str) -> WellPosition:
    """The place of "B7", "b07" or "AA12". ValueError, with a sentence, when it is not a well."""
    found = WELL_NAME.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a well; wells are a row and a column, such as B07 or AA12.")
    return WellPosition(parse_row(found[1]), parse_column(found[2]))


def smallest_format(positions: Iterable[WellPosition]) -> tuple[int, int]:
    """(rows, columns) of the smallest plate that holds all wells. ValueError when none does, or no well."""
    wells = list(positions)
    if not wells:
        raise ValueError("There is no well to choose a plate format for.")
    last_row = max(well.row for well in wells)
    last_column = max(well.column for well in wells)
    for rows, columns in PLATE_FORMATS.values():
        if last_row <= rows and last_column <= columns:
            return rows, columns
    raise ValueError(f"No plate holds well {WellPosition(last_row, last_column).name}; the largest is 1536 wells.")
