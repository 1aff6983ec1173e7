"""Wells and plate formats."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.wells import (
    MAX_COLUMNS,
    MAX_ROWS,
    PLATE_FORMATS,
    WellPosition,
    parse_column,
    parse_row,
    parse_well,
    smallest_format,
)


@pytest.mark.parametrize(
    ("text", "row", "column"),
    [("B7", 2, 7), ("b07", 2, 7), (" P24 ", 16, 24), ("Z01", 26, 1), ("AA12", 27, 12), ("aF48", 32, 48)],
)
def test_a_well_is_read_as_the_lab_writes_it(text: str, row: int, column: int) -> None:
    assert parse_well(text) == WellPosition(row, column)


@pytest.mark.parametrize("text", ["", "7B", "B", "12", "B0", "B49", "AG01", "ZZ01", "B7 C8", "B-7", "B٧"])
def test_what_is_no_well_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        parse_well(text)


@given(st.integers(1, MAX_ROWS), st.integers(1, MAX_COLUMNS))
def test_a_well_survives_its_name(row: int, column: int) -> None:
    assert parse_well(WellPosition(row, column).name) == (row, column)


def test_names_have_two_digits_and_two_letters_beyond_z() -> None:
    assert [WellPosition(*place).name for place in [(2, 7), (26, 12), (27, 12), (32, 48)]] == [
        "B07",
        "Z12",
        "AA12",
        "AF48",
    ]


def test_rows_may_be_numbers() -> None:
    assert parse_row("2") == parse_row("b") == 2
    assert parse_column(" 07 ") == 7


@pytest.mark.parametrize("text", ["", "0", "33", "AG", "B1", "-1"])
def test_a_row_on_no_plate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        parse_row(text)


@pytest.mark.parametrize("n_wells", PLATE_FORMATS)
def test_the_last_well_of_a_format_chooses_that_format(n_wells: int) -> None:
    rows, columns = PLATE_FORMATS[n_wells]
    assert rows * columns == n_wells
    assert smallest_format([WellPosition(rows, columns)]) == (rows, columns)


def test_the_smallest_format_holds_every_well() -> None:
    assert smallest_format([parse_well("H02"), parse_well("A12")]) == (8, 12)
    assert smallest_format([parse_well("H02"), parse_well("A13")]) == (16, 24)


def test_no_format_without_wells_or_beyond_1536() -> None:
    with pytest.raises(ValueError, match="no well"):
        smallest_format([])
    with pytest.raises(ValueError, match="1536"):
        smallest_format([WellPosition(33, 1)])
