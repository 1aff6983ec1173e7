"""Plate maps: tables as people and their programs save them."""

from pathlib import Path

import pytest

from imaging.platemap import PlateMap, PlateMapRow, read_platemap
from imaging.wells import WellPosition, parse_well


def of(text: str, encoding: str = "utf-8") -> PlateMap:
    """The plate map of a file called map.csv with this text."""
    return read_platemap(text.encode(encoding), "map.csv")


def clean(text: str) -> list[PlateMapRow]:
    """The rows of a file without errors."""
    result = of(text)
    assert result.errors == []
    return result.rows


def roles(text: str) -> list[tuple[str, str]]:
    """Role and control class of each row of a file without errors."""
    return [(row.role, row.control_class) for row in clean(text)]


# Wells and plates


@pytest.mark.parametrize(
    "header_and_row",
    [
        "well\nB07",
        "Well_Position\nb7",
        "WELL\n B7 ",
        "Metadata_Well\nB07",
        "Image_Metadata_Well\nB07",
        "WellRow,WellCol\nB,7",
        "Column,Row\n07,B",
        "Row,Column\n2,7",
        "WellRow,WellCol,well_position\nB,7,B7",
    ],
)
def test_the_well_is_found_whatever_its_columns_are_called(header_and_row: str) -> None:
    (row,) = clean(header_and_row)
    assert row == PlateMapRow(None, WellPosition(2, 7), "sample", "", {})


@pytest.mark.parametrize("column", ["plate", "Barcode", "Metadata_Plate", "plate_name"])
def test_the_plate_is_optional_and_found(column: str) -> None:
    first, second = clean(f"{column},well\nP1,A01\n,A01\n")
    assert (first.plate, second.plate) == ("P1", None)


def test_everything_else_is_treatment_under_its_own_name() -> None:
    (row,) = clean("well,Compound,Dose (uM),siRNA\nA01,DMSO,0.1,None\n")
    assert row.treatment == {"Compound": "DMSO", "Dose (uM)": "0.1", "siRNA": "None"}


# Roles


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("sample", ("sample", "")),
        ("", ("sample", "")),
        ("trt", ("sample", "")),
        ("Control", ("control", "")),
        ("negcon", ("control", "negcon")),
        ("PosCon", ("control", "poscon")),
        ("negative control", ("control", "negcon")),
        ("pos", ("control", "poscon")),
        ("empty", ("empty", "")),
        ("Blank", ("empty", "")),
    ],
)
@pytest.mark.parametrize("column", ["role", "control_type", "Metadata_control_type"])
def test_roles_are_read(column: str, value: str, expected: tuple[str, str]) -> None:
    assert roles(f"well,{column},x\nA01,{value},1\n") == [expected]


def test_a_control_type_may_be_any_class_and_a_role_may_not() -> None:
    assert roles("well,control_type\nA01,poscon_diverse\n") == [("control", "poscon_diverse")]
    result = of("well,role\nA01,sampel\nA02,sample\n")
    assert result.errors == [
        "map.csv, row 2, role: 'sampel' is not a role; roles are sample, control (negcon, poscon) and empty."
    ]
    assert [row.well.name for row in result.rows] == ["A02"]


def test_a_control_class_names_the_control() -> None:
    assert roles("well,role,control_class\nA01,control,M0\nA02,sample,\nA03,negcon,DMSO\n") == [
        ("control", "M0"),
        ("sample", ""),
        ("control", "DMSO"),
    ]


def test_a_control_class_alone_makes_a_control() -> None:
    assert roles("well,control_class\nA01,M1\nA02,\nA03,none\n") == [
        ("control", "M1"),
        ("sample", ""),
        ("sample", ""),
    ]


def test_a_sample_with_a_control_class_is_an_error() -> None:
    result = of("well,role,control_class\nA01,sample,M0\n")
    assert result.errors == ["map.csv, row 2, control_class: the well is sample, but has the control class M0."]


@pytest.mark.parametrize(("yes", "no"), [("1", "0"), ("TRUE", "FALSE"), ("yes", "no"), ("true", "")])
def test_a_flag_marks_controls(yes: str, no: str) -> None:
    assert roles(f"well,is_control,x\nA01,{yes},\nA02,{no},y\n") == [("control", ""), ("sample", "")]


def test_a_controls_column_holds_classes_with_minus_one_or_nothing_for_none() -> None:
    text = "well,Assay_Controls,x\nA01,-1,a\nA02,,a\nA03,none,a\nA04,0,a\nA05,3,a\nA06,DMSO,a\nA07,blank,a\n"
    assert roles(text) == [("sample", "")] * 3 + [
        ("control", "0"),
        ("control", "3"),
        ("control", "DMSO"),
        ("empty", ""),
    ]
    assert "Assay_Controls" not in clean(text)[0].treatment


def test_minus_one_zero_and_one_are_negative_sample_and_positive() -> None:
    """CellProfiler's convention; a note says so, because another reading is possible."""
    result = of("well,Data_Control\nA01,-1\nA02,0\nA03,1\n")
    assert [(row.role, row.control_class) for row in result.rows] == [
        ("control", "negcon"),
        ("sample", ""),
        ("control", "poscon"),
    ]
    assert result.notes == ["Column Data_Control holds -1, 0, 1: read as negative control, sample, positive control."]


def test_other_control_columns_need_no_note() -> None:
    assert of("well,is_control\nA01,1\nA02,0\n").notes == []


def test_a_stated_role_wins_over_a_control_column() -> None:
    assert roles("well,role,is_control\nA01,empty,1\nA02,,1\n") == [("empty", ""), ("control", "")]


# Files as they come


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_separators_line_ends_and_encodings(separator: str, end: str, encoding: str) -> None:
    lines = [["well", "Verbindung"], ["B07", "Ölsäure µM"], ["B08", '"a, b; c\td"']]
    result = of(end.join(separator.join(line) for line in lines) + end, encoding)
    assert result.errors == []
    assert [row.well.name for row in result.rows] == ["B07", "B08"]
    assert [row.treatment["Verbindung"] for row in result.rows] == ["Ölsäure µM", "a, b; c\td"]


def test_decimal_commas_do_not_hide_the_semicolon() -> None:
    (row,) = clean("well;dose;time\nA01;0,5;1,5\n")
    assert row.treatment == {"dose": "0,5", "time": "1,5"}


def test_the_line_excel_writes_for_itself_is_no_header() -> None:
    assert clean("sep=;\r\nwell;dose\r\nA01;1\r\n")[0].treatment == {"dose": "1"}


def test_greek_letters_of_a_unicode_text_export_are_kept() -> None:
    result = of("well\tcompound\r\nA01\tTGF-β\r\n", "utf-16")
    assert result.rows[0].treatment == {"compound": "TGF-β"}


def test_separators_inside_quotes_do_not_count() -> None:
    assert clean('"well","time; h; min; s"\nA01,5\n')[0].treatment == {"time; h; min; s": "5"}


def test_quoted_column_names_with_commas_are_kept() -> None:
    assert clean('"well","dose, uM"\n"A01","1"\n')[0].treatment == {"dose, uM": "1"}


def test_a_path_is_read_and_names_itself(tmp_path: Path) -> None:
    path = tmp_path / "plate 7.csv"
    path.write_text("well\nA01\nXX\n")
    result = read_platemap(path)
    assert result.name == "plate 7.csv"
    assert result.errors[0].startswith("plate 7.csv, row 3, well: 'XX' is not a well")
    assert read_platemap(str(path), "shown").errors[0].startswith("shown, row 3")


# Errors


def test_one_bad_row_is_an_error_and_the_others_are_kept() -> None:
    result = of("well,x\nA01,1\nA99,1\n,2\nA02,1\n")
    assert [row.well.name for row in result.rows] == ["A01", "A02"]
    assert result.errors == [
        "map.csv, row 3, well: Column 99 is on no plate; the largest plate has columns 1 to 48.",
        "map.csv, row 4, well: the well is missing.",
    ]


def test_blank_lines_are_passed_over_and_counted() -> None:
    result = of("\nwell,x\n\n,\nA01,1\nbad,1\n")
    assert [row.well for row in result.rows] == [parse_well("A01")]
    assert result.errors[0].startswith("map.csv, row 6, well: 'bad'")


def test_a_second_row_for_a_well_is_an_error_naming_the_first() -> None:
    result = of("Row,Column\nA,1\nA,01\n")
    assert len(result.rows) == 1
    assert result.errors == ["map.csv, row 3, Row and Column: well A01 is already in row 2."]


def test_the_same_well_on_another_plate_is_no_duplicate() -> None:
    assert len(clean("plate,well\nP1,A01\nP2,A01\n")) == 2


def test_a_bad_row_does_not_take_its_wells_place() -> None:
    result = of("well,role\nA01,nonsense\nA01,sample\n")
    assert len(result.rows) == len(result.errors) == 1


def test_a_row_that_names_two_wells_is_an_error() -> None:
    result = of("WellRow,WellCol,well\nB,7,B8\n")
    assert result.errors == ["map.csv, row 2, well: well says B08, WellRow and WellCol says B07."]


def test_a_bad_row_letter_names_its_own_column() -> None:
    assert of("WellRow,WellCol\n?,7\n").errors[0].startswith("map.csv, row 2, WellRow: '?' is not a row")


def test_a_row_longer_than_the_header_is_an_error() -> None:
    result = of("well,compound\nA01,a, b\nA02,c,\n")
    assert result.errors == ["map.csv, row 2: the row has 3 cells and the header 2; is a comma not in quotes?"]
    assert len(result.rows) == 1


def test_a_row_shorter_than_the_header_has_empty_cells() -> None:
    assert clean("well,a,b\nA01,1\n")[0].treatment == {"a": "1", "b": ""}


def test_a_column_that_is_there_twice_is_an_error_and_the_first_is_used() -> None:
    result = of("well,dose,dose\nA01,1,2\n")
    assert result.errors == ["map.csv, row 1, dose: the column is there twice; the first is used."]
    assert result.rows[0].treatment == {"dose": "1"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "map.csv: the file is empty."),
        (b"\r\n,,\r\n", "map.csv: the file is empty."),
        (b"well,x\n", "map.csv: the table has a header and no rows."),
        (b"compound,dose\nDMSO,1\n", "map.csv, row 1, well: no column names the well"),
        (b"Row,x\nA,1\n", "map.csv, row 1, well: no column names the well"),
        (b"PK\x03\x04rest of a workbook", "map.csv: this is an Excel workbook; save it as CSV."),
        (b"well,x\nA01," + b"y" * 200_000, "map.csv: this is not a table that can be read"),
    ],
)
def test_a_file_that_is_no_plate_map_says_so(data: bytes, message: str) -> None:
    result = read_platemap(data, "map.csv")
    assert result.rows == []
    assert result.errors[0].startswith(message)


def test_a_missing_file_is_an_error_not_an_exception(tmp_path: Path) -> None:
    result = read_platemap(tmp_path / "gone.csv")
    assert result.errors == ["gone.csv: the file cannot be opened (No such file or directory)."]


@pytest.mark.parametrize("data", [b"\x00" * 50, bytes(range(256)) * 3, b'well\n"A01', b"\xff\xfew", b"well\n\x00A01"])
def test_bytes_of_any_kind_raise_nothing(data: bytes) -> None:
    assert isinstance(read_platemap(data, "map.csv"), PlateMap)


# Real plate maps


@pytest.mark.parametrize(("plate", "n_wells"), [(3, 72), (4, 60)])
def test_real_plate_maps_are_read_without_errors(shared: Path, plate: int, n_wells: int) -> None:
    path = shared / "data" / "cellprofiler-image-tables" / f"platemap_NF1_plate{plate}.csv"
    result = read_platemap(path)
    assert result.errors == []
    assert len(result.rows) == n_wells
    assert {row.role for row in result.rows} == {"sample"}
    assert {row.treatment["gene_name"] for row in result.rows} == {"NF1"}
    assert {"genotype", "seed_density"} <= set(result.rows[0].treatment)


def test_the_sbs_metadata_has_negative_and_positive_controls_by_dose(shared: Path) -> None:
    """Dose 0 is the negative control, dose 10 the positive; the doses between are the samples."""
    result = read_platemap(shared / "data" / "sbs-96well-2ch" / "1049_Metadata.csv")
    assert result.errors == []
    by_class: dict[tuple[str, str], set[str]] = {}
    for row in result.rows:
        by_class.setdefault((row.role, row.control_class), set()).add(row.treatment["SBS_Doses"])
    assert by_class == {
        ("control", "negcon"): {"0"},
        ("sample", ""): {str(dose) for dose in range(1, 10)},
        ("control", "poscon"): {"10"},
    }
    counts = [sum(row.control_class == name for row in result.rows) for name in ("negcon", "", "poscon")]
    assert counts == [16, 72, 8]
    assert "SBS_Controls" in result.notes[0]
