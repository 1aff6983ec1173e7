"""Plate maps: tables that say what is in each well. Columns are known by name, errors name row and field."""

import csv
import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from imaging.wells import WellPosition, parse_column, parse_row, parse_well

Role = Literal["sample", "control", "empty"]
Parsed = TypeVar("Parsed")

# Column names as `simple` leaves them: lower case, letters and digits, without the Metadata_ prefix.
WELL_COLUMNS = {"well", "wellposition", "wellname", "wellid", "wellpos"}
ROW_COLUMNS = {"row", "wellrow"}
COLUMN_COLUMNS = {"column", "col", "wellcolumn", "wellcol"}
PLATE_COLUMNS = {"plate", "barcode", "platebarcode", "platename", "plateid"}
ROLE_COLUMNS = {"role", "wellrole", "welltype", "controltype"}
CLASS_COLUMNS = {"controlclass"}

SAMPLE_WORDS = {"", "sample", "trt", "treated", "treatment", "test", "none", "na", "nan", "-1", "no", "false"}
EMPTY_WORDS = {"empty", "blank", "unused"}
CONTROL_WORDS = {"control", "ctrl", "ctl", "yes", "true"}
CONTROL_PREFIXES = {"negcon": "negcon", "poscon": "poscon", "neg": "negcon", "pos": "poscon"}
# CellProfiler's CalculateStatistics: "a common practice is to designate -1 as a negative control, 0 as an
# experimental sample, and 1 as a positive control".
SIGNED_CONTROLS: dict[str, tuple[Role, str]] = {
    "-1": ("control", "negcon"),
    "0": ("sample", ""),
    "1": ("control", "poscon"),
}


@dataclass(frozen=True)
class PlateMapRow:
    """What one well holds; `plate` is None when the map names none, `treatment` keeps the file's names."""

    plate: str | None
    well: WellPosition
    role: Role
    control_class: str
    treatment: dict[str, str]


@dataclass(frozen=True)
class PlateMap:
    """The wells that could be read, and sentences on what could not and on how a column was understood.

    Errors name file, row and column: "map.csv, row 5, well: 'Q' is not a well; ...".
    """

    name: str
    rows: list[PlateMapRow] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Columns:
    """Which column says what, by index; `read_control` turns a control column's cell into role and class."""

    well: int | None
    row: int | None
    column: int | None
    plate: int | None
    role: int | None
    control: int | None
    control_class: int | None
    treatment: dict[str, int]
    read_control: Callable[[str], tuple[Role, str]]


class CellError(ValueError):
    """A cell that cannot be read: its column and a sentence."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column


def read_platemap(path_or_bytes: str | os.PathLike[str] | bytes, name: str = "") -> PlateMap:
    """Read a plate map, CSV with commas, semicolons or tabs; `name` is the file's name in errors.

    Never raises for what is in the file: a bad row is an entry in `errors` and the others are kept; a file
    that cannot be read at all has no rows and one error.
    """
    if isinstance(path_or_bytes, bytes):
        data, name = path_or_bytes, name or "plate map"
    else:
        name = name or os.path.basename(path_or_bytes)
        try:
            with open(path_or_bytes, "rb") as stream:
                data = stream.read()
        except OSError as error:
            return whole_file_error(name, f"the file cannot be opened ({error.strerror}).")
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        return whole_file_error(name, "this is an Excel workbook; save it as CSV.")
    try:
        table = read_table(decode(data))
    except csv.Error as error:
        return whole_file_error(name, f"this is not a table that can be read ({error}).")
    if not table:
        return whole_file_error(name, "the file is empty.")
    return read_rows(name, table)


def problem(file: str, row: int, column: str, reason: str) -> str:
    """What is wrong, where: rows count from 1, as a spreadsheet shows; 0 is the whole file."""
    place = [file, *([f"row {row}"] if row else []), *([column] if column else [])]
    return f"{', '.join(place)}: {reason}"


def whole_file_error(name: str, reason: str) -> PlateMap:
    """A plate map of which nothing could be read."""
    return PlateMap(name, errors=[problem(name, 0, "", reason)])


def decode(data: bytes) -> str:
    """The text of a file that Excel or a person saved: UTF-16 with its mark, else UTF-8, else cp1252."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def read_table(text: str) -> list[list[str]]:
    """The rows of the table with trimmed cells; blank lines stay, so that rows can be counted."""
    separator = None
    stated = re.match(r"sep=(.)\r?\n", text, re.IGNORECASE)  # a line Excel writes for itself
    if stated is not None:
        separator, text = stated[1], text[stated.end() :]
    if separator is None:
        separator = separator_of(text)
    rows = csv.reader(io.StringIO(text.replace("\x00", ""), newline=""), delimiter=separator, skipinitialspace=True)
    table = [[cell.strip() for cell in row] for row in rows]
    return table if any(any(row) for row in table) else []


def separator_of(text: str) -> str:
    """The comma, semicolon or tab that the first line with text has most of, outside quotes."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    unquoted = re.sub(r'"[^"]*"', "", header)
    return max(",;\t", key=unquoted.count)  # max keeps the first of equals


def read_rows(name: str, table: list[list[str]]) -> PlateMap:
    """The plate map of a table whose first row with text is the header."""
    result = PlateMap(name)
    start = next(index for index, row in enumerate(table) if any(row))
    header, body = table[start], table[start + 1 :]
    columns = find_columns(header, body, result, header_row=start + 1)
    if columns is None:
        return result
    seen: dict[tuple[str | None, WellPosition], int] = {}
    for number, cells in enumerate(body, start=start + 2):
        if not any(cells):
            continue
        try:
            row = read_row(header, cells, columns)
            first = seen.setdefault((row.plate, row.well), number)
            if first != number:
                raise CellError(well_field(header, columns), f"well {row.well.name} is already in row {first}.")
        except CellError as error:
            result.errors.append(problem(name, number, error.column, str(error)))
        else:
            result.rows.append(row)
    if not result.rows and not result.errors:
        result.errors.append(problem(name, 0, "", "the table has a header and no rows."))
    return result


def simple(column: str) -> str:
    """A column's name without its Metadata_ prefix, in lower case, letters and digits alone."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"^(image_)?metadata_", "", column.lower()))


def find_columns(header: list[str], body: list[list[str]], result: PlateMap, header_row: int) -> Columns | None:
    """Which column says what. None, with an error in the result, when no column names the well."""
    free = dict(enumerate(simple(column) for column in header))

    def take(is_it: Callable[[str], bool]) -> int | None:
        index = next((index for index, column in free.items() if is_it(column)), None)
        if index is not None:
            del free[index]
        return index

    well, row, column = (take(names.__contains__) for names in (WELL_COLUMNS, ROW_COLUMNS, COLUMN_COLUMNS))
    if well is None and (row is None or column is None):
        found = ", ".join(repr(name) for name in header if name)
        reason = f"no column names the well; name one 'well', or two 'row' and 'column'. Columns found: {found}."
        result.errors.append(problem(result.name, header_row, "well", reason))
        return None
    plate, control_class, role = (take(names.__contains__) for names in (PLATE_COLUMNS, CLASS_COLUMNS, ROLE_COLUMNS))
    # Such as is_control, SBS_Controls, Data_Control.
    control = take(lambda column: column.endswith(("control", "controls")))
    cells = [] if control is None else [cell_at(row_cells, control) for row_cells in body if any(row_cells)]
    read_control = control_reader(cells)
    if control is not None and read_control is read_signed_control:
        result.notes.append(
            f"Column {header[control]} holds -1, 0, 1: read as negative control, sample, positive control."
        )
    treatment: dict[str, int] = {}
    for index in free:
        if header[index] in treatment:
            reason = "the column is there twice; the first is used."
            result.errors.append(problem(result.name, header_row, header[index], reason))
        elif header[index]:
            treatment[header[index]] = index
    return Columns(well, row, column, plate, role, control, control_class, treatment, read_control)


def cell_at(cells: Sequence[str], index: int | None) -> str:
    """The cell of a column; empty where the column or the cell is missing."""
    return cells[index] if index is not None and index < len(cells) else ""


def read_row(header: list[str], cells: list[str], columns: Columns) -> PlateMapRow:
    """One row of the map. CellError with its column when a cell makes no sense."""
    if any(cells[len(header) :]):
        raise CellError("", f"the row has {len(cells)} cells and the header {len(header)}; is a comma not in quotes?")
    well = read_well(header, cells, columns)
    role, control_class = read_role(header, cells, columns)
    treatment = {name: cell_at(cells, index) for name, index in columns.treatment.items()}
    return PlateMapRow(cell_at(cells, columns.plate) or None, well, role, control_class, treatment)


def well_field(header: list[str], columns: Columns) -> str:
    """The name of the column, or the two columns, that name the well."""
    places = [columns.well] if columns.well is not None else [columns.row, columns.column]
    return " and ".join(header[place] for place in places if place is not None)


def read_well(header: list[str], cells: list[str], columns: Columns) -> WellPosition:
    """The well of a row; a row that names it twice, in two ways, is an error."""
    readings = list(well_readings(header, cells, columns))
    if not readings:
        raise CellError(well_field(header, columns), "the well is missing.")
    column, well = readings[0]
    for other_column, other in readings[1:]:
        if other != well:
            reason = f"{column} says {well.name}, {other_column} says {other.name}."
            raise CellError(column, reason)
    return well


def well_readings(header: list[str], cells: list[str], columns: Columns) -> Iterator[tuple[str, WellPosition]]:
    """Each way in which a row names its well: the column's name and the well."""
    if columns.well is not None and cell_at(cells, columns.well):
        yield header[columns.well], parse_cell(header[columns.well], parse_well, cell_at(cells, columns.well))
    row, column = cell_at(cells, columns.row), cell_at(cells, columns.column)
    if columns.row is None or columns.column is None or not (row or column):
        return
    row_name, column_name = header[columns.row], header[columns.column]
    place = WellPosition(parse_cell(row_name, parse_row, row), parse_cell(column_name, parse_column, column))
    yield f"{row_name} and {column_name}", place


def parse_cell(column: str, parse: Callable[[str], Parsed], text: str) -> Parsed:
    """What `parse` makes of a cell; its ValueError becomes a CellError of this column."""
    try:
        return parse(text)
    except ValueError as error:
        raise CellError(column, str(error)) from error


# Roles


def read_role(header: list[str], cells: list[str], columns: Columns) -> tuple[Role, str]:
    """Role and control class of a row: the role column, then a control column, then a class by itself."""
    named_class = cell_at(cells, columns.control_class)
    named_class = "" if named_class.lower() in SAMPLE_WORDS else named_class
    stated = cell_at(cells, columns.role)
    if columns.role is not None and stated:
        role, control_class = read_stated_role(header[columns.role], stated)
    elif columns.control is not None:
        role, control_class = columns.read_control(cell_at(cells, columns.control))
    else:
        role, control_class = ("control" if named_class else "sample"), ""
    if role != "control" and named_class:
        assert columns.control_class is not None
        reason = f"the well is {role}, but has the control class {named_class}."
        raise CellError(header[columns.control_class], reason)
    return role, named_class or control_class


def read_stated_role(column: str, text: str) -> tuple[Role, str]:
    """Role and control class of a role's cell. A control_type column may hold any class, a role not."""
    known = known_role(text)
    if known is None and simple(column) != "controltype":
        raise CellError(column, f"{text!r} is not a role; roles are sample, control (negcon, poscon) and empty.")
    return known or ("control", text)


def control_reader(cells: list[str]) -> Callable[[str], tuple[Role, str]]:
    """How a control column is to be read, judged by all its values."""
    values = {cell.lower() for cell in cells}
    if {"-1", "0"} <= values <= {"", *SIGNED_CONTROLS}:
        return read_signed_control
    if values <= {"", "0", "1"}:
        return read_flag
    return read_plain_control


def read_signed_control(text: str) -> tuple[Role, str]:
    """-1, 0, 1 as CellProfiler's statistics read them: negative control, sample, positive control."""
    return SIGNED_CONTROLS.get(text, ("sample", ""))


def read_flag(text: str) -> tuple[Role, str]:
    """1 is a control, 0 or nothing a sample."""
    return ("control", "") if text == "1" else ("sample", "")


def read_plain_control(text: str) -> tuple[Role, str]:
    """Nothing, -1 or none is a sample, blank is empty; any other value is the name of a control class."""
    return known_role(text) or ("control", text)


def known_role(text: str) -> tuple[Role, str] | None:
    """Role and control class of a word that has a meaning of its own; None for any other."""
    word = text.lower()
    if word in SAMPLE_WORDS:
        return "sample", ""
    if word in EMPTY_WORDS:
        return "empty", ""
    if word in CONTROL_WORDS:
        return "control", ""
    for prefix, control_class in CONTROL_PREFIXES.items():
        if re.fullmatch(rf"{prefix}(itive|ative)?[ _-]?(control|ctrl)?", word):
            return "control", control_class
    return None
