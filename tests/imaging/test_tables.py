"""Tables of metrics from elsewhere: however they were saved, whatever is wrong in them."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from imaging.tables import FieldPlace, MetricTable, TableError, read_metric_table

PLAIN = "plate,well,site,Count_Cells\n0412,B02,1,30\n0412,B02,2,31\n"


def read(tmp_path: Path, content: str | bytes, name: str = "table.csv", **options: str) -> MetricTable:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_metric_table(str(path), **options)


def problems(table: MetricTable) -> list[str]:
    return [f"{problem.where(table.name)}: {problem.reason}" for problem in table.problems]


def refusal(tmp_path: Path, content: str | bytes, name: str = "table.csv", **options: str) -> str:
    with pytest.raises(TableError) as refused:
        read(tmp_path, content, name, **options)
    return str(refused.value)


def wells(table: MetricTable) -> list[tuple[str, int, int, int]]:
    return [(place.plate, place.row, place.column, place.site) for place in table.places]


# --- how a table is saved -------------------------------------------------------------------------------

TWO = [("0412", 2, 2, 1), ("0412", 2, 2, 2)]


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        "sep=;\n" + PLAIN.replace(",", ";"),
        b"\xef\xbb\xbf" + PLAIN.encode(),
        PLAIN.encode("utf-16"),
        gzip.compress(PLAIN.encode(), mtime=0),
        "\n\n" + PLAIN,
        PLAIN.replace("0412", '"0412"'),
        PLAIN + "\n,,,\n",
        PLAIN.replace("plate,well,site", "PLATE, Well ,Field"),
    ],
    ids=[
        *("commas", "windows lines", "old mac lines", "semicolons", "tabs", "sep line", "byte order mark", "utf-16"),
        *("gzip", "blank lines first", "quotes", "blank lines last", "other names"),
    ],
)
def test_a_table_is_read_however_it_was_saved(tmp_path, content):
    table = read(tmp_path, content)
    assert wells(table) == TWO
    assert table.columns == ["Count_Cells"]
    assert table.values.tolist() == [[30], [31]]
    assert problems(table) == []


def test_numbers_with_a_decimal_comma_are_read_where_semicolons_part_cells(tmp_path):
    table = read(tmp_path, "well;Intensity_Mean\nB02;0,25\nB03;-1,5e-3\n")
    assert table.values[:, 0].tolist() == pytest.approx([0.25, -0.0015])


def test_text_that_is_not_utf_8_is_read_as_windows_writes_it_and_says_so(tmp_path):
    table = read(tmp_path, "plate,well,n\nPlatte ä,B02,1\n".encode("cp1252"))
    assert wells(table)[0][0] == "Platte ä"
    assert table.notes == ["The file is not UTF-8; it was read as Windows-1252."]


def test_rows_are_counted_as_a_spreadsheet_shows_them(tmp_path):
    table = read(tmp_path, "sep=,\nplate,well,n\n\nP,B02,1\nP,XX,2\n")
    assert table.rows == [4]
    assert [problem.row for problem in table.problems] == [5]


def test_parquet_is_read_with_its_types(tmp_path):
    pl.DataFrame(
        {"Plate": [412, 412], "Well": ["b2", "B3"], "Site": [1.0, 2.0], "row": [9, 9], "CellQC_Entropy_DNA": [None, 2]}
    ).write_parquet(tmp_path / "t.parquet")
    table = read_metric_table(str(tmp_path / "t.parquet"))
    assert wells(table) == [("412", 2, 2, 1), ("412", 2, 3, 2)]
    assert np.isnan(table.values[0, 0])
    assert table.values[1, 0] == 2


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "table.csv: the file is empty."),
        ("plate,well,n\n", "table.csv: the table has a header and no rows."),
        (b"PK\x03\x04rest", "table.csv: this is an Excel workbook; save it as CSV."),
        (b"PAR1 and then nothing", "table.csv: the Parquet file is damaged"),
        (gzip.compress(PLAIN.encode(), mtime=0)[:-12], "the file cannot be read to its end"),
        ("plate,n\nP,1\n", "No column names the well. Call one well, or two row and column"),
        ("plate,n\nP,1\n", "Columns found: 'plate', 'n'."),
        ("plate,well,name\nP,B02,x\n", "no column holds numbers that could be a metric"),
        ("plate,well,n\nP,ZZ9,1\n", "no row could be taken. The first problem: table.csv, row 2, well: Row ZZ"),
    ],
)
def test_a_table_that_cannot_be_taken_says_why(tmp_path, content, told):
    assert told.lower() in refusal(tmp_path, content).lower()


def test_a_table_that_is_not_there_says_so(tmp_path):
    with pytest.raises(TableError, match=r"There is no file .*missing\.csv\."):
        read_metric_table(str(tmp_path / "missing.csv"))
    with pytest.raises(TableError, match="is a folder; name the table in it"):
        read_metric_table(str(tmp_path))


# --- what is wrong in a row or cell -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("P,,1,5", "table.csv, row 3, well: the well is missing. Write it as B07"),
        ("P,B99,1,5", "table.csv, row 3, well: Column 99 is on no plate"),
        ("P,well 3,1,5", "table.csv, row 3, well: 'well 3' is not a well"),
        ("P,B03,first,5", "table.csv, row 3, site: 'first' is not a whole number"),
        ("P,B03,1.5,5", "table.csv, row 3, site: '1.5' is not a whole number"),
        ("P,B03,1,5,6", "table.csv, row 3: the row has more cells than the header. Put text with commas in quotes."),
        ("P,B02,1,7", "table.csv, row 3: row 2 is about the same field with other numbers; the first is taken."),
    ],
)
def test_a_bad_row_is_told_and_stops_no_other(tmp_path, row, told):
    table = read(tmp_path, f"plate,well,site,n\nP,B02,1,4\n{row}\nP,B04,1,6\n")
    assert [well[2] for well in wells(table)] == [2, 4]
    assert problems(table)[0].startswith(told)
    assert table.n_problems == 1


def test_text_in_a_number_column_is_told_and_left_empty(tmp_path):
    table = read(tmp_path, "well,ImageQuality_FocusScore_DNA\nB02,0.5\nB03,broken\nB04,0.7\n")
    assert np.isnan(table.values[1, 0])
    assert problems(table) == [
        "table.csv, row 3, ImageQuality_FocusScore_DNA: 'broken' is no number; the value is left empty. "
        "Correct the cell."
    ]


@pytest.mark.parametrize("cell", ["", "NaN", "nan", " ", "N/A", "inf", "-inf", "1e300", "null"])
def test_what_is_no_finite_number_is_missing_without_a_word(tmp_path, cell):
    table = read(tmp_path, f"well,n\nB02,1\nB03,{cell}\n")
    assert np.isnan(table.values[1, 0])
    assert problems(table) == []


def test_a_row_that_is_too_short_has_missing_values(tmp_path):
    table = read(tmp_path, "well,a,b\nB02,1,2\nB03,3\n")
    assert table.values[1, 0] == 3
    assert np.isnan(table.values[1, 1])


def test_the_same_row_twice_is_one_field_and_no_problem(tmp_path):
    table = read(tmp_path, "well,n\nB02,1\nB02,1\n")
    assert len(table.places) == 1
    assert problems(table) == []


def test_wells_with_several_rows_and_no_site_are_told_to_name_one(tmp_path):
    assert "Add a column site" in problems(read(tmp_path, "well,n\nB02,1\nB02,2\n"))[0]


def test_thousands_of_bad_rows_are_counted_and_a_thousand_kept(tmp_path):
    table = read(tmp_path, "well,n\nB02,1\n" + "?,1\n" * 1500)
    assert (table.n_problems, len(table.problems)) == (1500, 1000)


def test_a_barcode_without_end_is_told_and_zero_bytes_are_dropped(tmp_path):
    table = read(tmp_path, f"plate,well,n\nP\x001,B02,1\n{'P' * 201},B02,1\n")
    assert wells(table) == [("P1", 2, 2, 1)]
    assert "the barcode has 201 characters; shorten it." in problems(table)[0]


# --- which column says what -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        ("Metadata_Plate,Metadata_Well,Metadata_Site", "P1,C4,3", ("P1", 3, 4, 3)),
        ("Image_Metadata_Plate,Image_Metadata_Well,Image_Metadata_Site", "P1,C4,3", ("P1", 3, 4, 3)),
        ("Metadata_Barcode,Metadata_Row,Metadata_Col,Metadata_Field", "P1,C,4,3", ("P1", 3, 4, 3)),
        ("Metadata_Plate,Metadata_Row,Metadata_Column,Metadata_FOV", "P1,3,04,f03", ("P1", 3, 4, 3)),
        ("BARCODE,WellRow,WellCol,Field", "P1,c,4,s3", ("P1", 3, 4, 3)),
        ("plate_barcode,well_position,field_of_view", "P1,c04,3", ("P1", 3, 4, 3)),
        ("plate_name,Well ID,Site ID", "P1,C04,3", ("P1", 3, 4, 3)),
        ("Row,Plate,Metadata_Well,Site", "9,P1,C04,3", ("P1", 3, 4, 3)),
    ],
)
def test_columns_are_known_by_their_usual_names(tmp_path, header, row, expected):
    assert wells(read(tmp_path, f"{header},ImageQuality_FocusScore_DNA\n{row},1\n")) == [expected]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("B10_01_1_25_DAPI_001.tif", ("Plate_3", 2, 10, 25)),
        ("AS_09047_050428030001_O15f02d2.TIF", ("Plate_3", 15, 15, 2)),
        ("Channel1-01-H-12.tif", ("Plate_3", 8, 12, 1)),
    ],
)
def test_wells_and_sites_come_from_file_names_and_plates_from_folders(tmp_path, name, expected):
    table = read(tmp_path, f"FileName_OrigDNA,PathName_OrigDNA,n\n{name},D:\\data\\Plate_3\\images,1\n")
    assert wells(table) == [expected]
    assert table.channels == ["OrigDNA"]


def test_a_site_that_only_the_file_name_tells_is_read_beside_a_well_column(tmp_path):
    table = read(tmp_path, "FileName_DNA,Metadata_Well,n\nB10_01_1_25_DAPI_001.tif,B10,1\n")
    assert wells(table)[0][3] == 25


def test_a_plate_is_the_named_one_else_the_tables_name(tmp_path):
    content = "well,n\nB02,1\n"
    assert wells(read(tmp_path, content, "NF1.csv"))[0][0] == "NF1"
    assert wells(read(tmp_path, content, default_plate="0412"))[0][0] == "0412"
    assert wells(read(tmp_path, content, plate="0413"))[0][0] == "0413"


def test_one_plate_for_a_table_of_several_is_refused(tmp_path):
    told = refusal(tmp_path, "plate,well,n\nP1,B02,1\nP2,B02,1\n", plate="P")
    assert told.endswith("you named one plate (P), but the table is of several (P1, P2). Leave the plate empty.")


def test_metrics_are_numbers_that_are_no_metadata(tmp_path):
    header = (
        "ImageNumber,Metadata_Plate,Metadata_Well,Metadata_Dose,FileName_DNA,Height_DNA,Scaling_DNA,MD5Digest_DNA,"
        "ExecutionTime_01Images,ModuleError_01Images,Group_Index,dose,Comment,Unnamed: 0,Image_Count_Nuclei,"
        "Intensity_MeanIntensity_DNA,ImageQuality_Scaling_DNA"
    )
    table = read(tmp_path, f"{header}\n1,P,B02,3,B02_1_1_1_DNA_1.tif,904,65535,abc,0.1,0,1,3,fine,0,12,0.3,65535\n")
    assert table.columns == ["Count_Nuclei", "Intensity_MeanIntensity_DNA", "ImageQuality_Scaling_DNA"]
    assert table.notes == ["Left out, because they hold no numbers: Comment."]


def test_a_column_twice_is_used_once_and_told(tmp_path):
    table = read(tmp_path, "well,Image_Count_Cells,Count_Cells\nB02,1,2\n")
    assert table.values.tolist() == [[1]]
    assert table.notes == ["The column Count_Cells is there twice; the first is used."]


def test_channels_are_in_the_order_of_their_numbers(tmp_path):
    header = "FileName_OrigCY5,FileName_OrigDAPI,ImageQuality_FocusScore_OrigDAPI"
    table = read(tmp_path, f"{header}\nB10_01_3_1_CY5_001.tif,B10_01_1_1_DAPI_001.tif,1\n")
    assert table.channels == ["OrigDAPI", "OrigCY5"]


def test_the_origin_is_what_the_columns_tell(tmp_path):
    assert read(tmp_path, "well,ImageQuality_FocusScore_DNA\nB02,1\n").origin == "CellProfiler"
    content = "well,ImageQuality_FocusScore_DNA,Metadata_CellProfiler_Version\nB02,1,4.2.8\n"
    assert read(tmp_path, content).origin == "CellProfiler 4.2.8"
    assert read(tmp_path, "well,Count\nB02,1\n").origin == "table"


def test_cellqcs_own_parquet_tells_hashes_errors_and_its_version(tmp_path):
    from imaging.metrics import metric_columns

    columns = metric_columns(["DNA", "ER"])
    rows = {"plate": ["P", "P"], "well": ["B02", "B03"], "site": [1, 1], "timepoint": [1, 2]}
    rows |= {"content_hash": ["A" * 64, None], "error": [None, "DNA: the file is empty."]}
    rows |= {column: [0.5, None] for column in columns}
    pl.DataFrame(rows).write_parquet(tmp_path / "m.parquet", metadata={"metric_set_version": "1"})
    table = read_metric_table(str(tmp_path / "m.parquet"))
    assert (table.origin, table.channels, table.columns) == ("cellqc 1", ["DNA", "ER"], columns)
    assert table.content_hashes == ["a" * 64, ""]
    assert table.failures == ["", "DNA: the file is empty."]
    assert table.places[1] == FieldPlace("P", 2, 3, 1, 2)


# --- real tables ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("plate", "n_fields", "n_wells"), [(3, 1800, 72), (4, 1500, 60)])
def test_cellprofilers_tables_are_read_as_they_are(shared, plate, n_fields, n_wells):
    table = read_metric_table(str(shared / f"data/cellprofiler-image-tables/NF1_Plate_{plate}_Image.csv"))
    assert table.origin == "CellProfiler"
    assert table.values.shape == (n_fields, 28)
    assert not np.isnan(table.values).any()
    assert table.channels == ["OrigDAPI", "OrigGFP", "OrigCY5", "OrigRFP"]
    assert {place.plate for place in table.places} == {f"Plate_{plate}"}
    assert len({(place.row, place.column) for place in table.places}) == n_wells
    assert {place.site for place in table.places} == set(range(1, 26))
    assert all(name.startswith("ImageQuality_") for name in table.columns)
    assert problems(table) == []
