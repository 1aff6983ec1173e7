"""`python -m imaging measure`: the table, what it says of what is broken, and the exit code a workflow reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from imaging import measured_table
from imaging.__main__ import main
from imaging.metrics import METRIC_SET_VERSION, measure_field_planes, metric_columns
from tests.chunks import in_this_process
from tests.conftest import ROOT
from tests.labeling.plates_on_disk import name_of, pixels, write, write_plate

FACTS = ["plate", "well", "site", "timepoint", "content_hash", "error"]


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr(measured_table, "run_in_chunks", in_this_process)


def rows_of(path: Path) -> list[dict]:
    return pyarrow.parquet.read_table(path).to_pylist()


def test_the_command_needs_no_django_and_writes_every_field_in_plate_order(tmp_path):
    write_plate(tmp_path / "P1")
    out = tmp_path / "metrics.parquet"
    script = (
        "import runpy, sys\n"
        f"sys.argv = ['imaging', 'measure', {str(tmp_path / 'P1')!r}, {str(out)!r}, '--workers', '1']\n"
        "try:\n    runpy.run_module('imaging', run_name='__main__')\n"
        "except SystemExit as end:\n    code = end.code\n"
        "rooms = ('django', 'labeling', 'training', 'cellqc', 'distributed')\n"
        "print(code, [name for name in sys.modules if name.partition('.')[0] in rooms])"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "CELLQC"))}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr
    table = pyarrow.parquet.read_table(out)
    assert [(row["plate"], row["well"], row["site"], row["timepoint"]) for row in table.to_pylist()] == [
        ("P1", well, site, 1) for well in ("B02", "B03") for site in (1, 2)
    ]
    columns = metric_columns(["DNA", "ER"])
    parity = [column for column in columns if column.startswith("ImageQuality_")]
    own = [column for column in columns if column.startswith("CellQC_")]
    assert table.column_names == [*FACTS, *parity, *own]
    assert {table.schema.field(column).type for column in columns} == {pyarrow.float32()}
    assert table.schema.metadata[b"metric_set"].decode() == METRIC_SET_VERSION
    assert json.loads(table.schema.metadata[b"channels"]) == ["DNA", "ER"]
    assert set(tmp_path.iterdir()) == {out, tmp_path / "P1"}


def test_values_are_those_of_the_pixels(tmp_path, here):
    write_plate(tmp_path / "P1")
    assert main(["measure", str(tmp_path / "P1"), str(tmp_path / "out")]) == 0
    row = rows_of(tmp_path / "out")[0]
    planes = [pixels(0), pixels(1)]
    expected = measure_field_planes(planes, [65535, 65535], [4095, 4095]).astype(np.float32)
    for column, value in zip(metric_columns(["DNA", "ER"]), expected.tolist(), strict=True):
        assert row[column] == (None if np.isnan(value) else value), column


def test_broken_and_incomplete_fields_are_rows_with_their_reason_and_no_metrics(tmp_path, here, capsys):
    folder = write_plate(tmp_path / "P1")
    (folder / name_of("B02", 1, "ER")).unlink()
    (folder / name_of("B02", 2, "DNA")).write_bytes(b"")
    path = folder / name_of("B03", 1, "DNA")
    path.write_bytes(path.read_bytes()[:-99])
    write(folder / "notes about the plate.tif", pixels(9))
    assert main(["measure", str(folder), str(tmp_path / "out")]) == 1
    rows = rows_of(tmp_path / "out")
    assert [row["error"] for row in rows] == [
        "ER: there is no file",
        "DNA: the file is empty (0 bytes); copy it again from the microscope",
        "DNA: the file is cut short: a part of the picture is missing; copy it again from the microscope",
        None,
    ]
    for row in rows[:3]:
        assert row["content_hash"] is None
        assert not [name for name, value in row.items() if name not in FACTS and value is not None]
    assert rows[3]["content_hash"]
    said = capsys.readouterr().out
    assert "1 of 4 fields measured" in said
    assert "P1 B02 site 1 timepoint 1: ER: there is no file" in said
    assert "notes about the plate.tif" in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{0}/nowhere", "{0}/out"], "There is no folder"),
        (["{0}", "{0}/out"], "is empty"),
        (["{0}/P1", "{0}/missing/out"], "There is no folder {0}/missing to write out in"),
        (["{0}/P1", "s3://bucket/out"], "is not a file of this computer"),
        (["{0}/P1", "{0}/out", "--layout", "polaroid"], "There is no layout 'polaroid'"),
        (["{0}/P1", "{0}/out", "--z", "upper"], "is no rule for z"),
        (["{0}/P1", "{0}/out", "--scheduler", "tcp://127.0.0.1:9"], "does not answer"),
    ],
)
def test_where_nothing_can_be_read_a_sentence_says_why_and_nothing_is_written(tmp_path, capsys, arguments, sentence):
    if "is empty" not in sentence:
        write_plate(tmp_path / "P1", wells=("B02",), sites=1)
    assert main(["measure", *(one.format(tmp_path) for one in arguments)]) == 2
    assert sentence.format(tmp_path) in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] in ([], ["P1"])


def test_fields_that_are_all_broken_end_with_2_and_their_reasons_in_the_table(tmp_path, here):
    folder = write_plate(tmp_path / "P1", wells=("B02",), sites=2, channels=("DNA",))
    for path in folder.iterdir():
        path.write_bytes(b"no image")
    assert main(["measure", str(folder), str(tmp_path / "out")]) == 2
    assert all("DNA: the file" in row["error"] for row in rows_of(tmp_path / "out"))


def test_the_z_rule_chooses_the_plane(tmp_path, here):
    from tifffile import imwrite

    (tmp_path / "P1").mkdir()
    planes = np.stack([pixels(seed) for seed in range(3)])
    imwrite(tmp_path / "P1" / name_of("B02", 1, "DNA"), planes, photometric="minisblack")
    found = {}
    for rule in ("first", "middle", "3"):
        assert main(["measure", str(tmp_path / "P1"), str(tmp_path / "out"), "--z", rule]) == 0
        found[rule] = rows_of(tmp_path / "out")[0]["ImageQuality_TotalIntensity_DNA"]
    assert list(found.values()) == pytest.approx([plane.sum() / 65535 for plane in planes], rel=1e-5)


def test_rows_are_written_in_groups(tmp_path, here, monkeypatch):
    monkeypatch.setattr(measured_table, "ROW_GROUP", 3)
    write_plate(tmp_path / "P1")
    main(["measure", str(tmp_path / "P1"), str(tmp_path / "out")])
    assert pyarrow.parquet.ParquetFile(tmp_path / "out").num_row_groups == 2


def test_a_run_that_is_stopped_leaves_the_old_table(tmp_path, monkeypatch):
    write_plate(tmp_path / "P1", wells=("B02",), sites=1)
    (tmp_path / "out").write_text("of yesterday")

    def stop(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(measured_table, "run_in_chunks", stop)
    with pytest.raises(KeyboardInterrupt):
        main(["measure", str(tmp_path / "P1"), str(tmp_path / "out")])
    assert (tmp_path / "out").read_text() == "of yesterday"
    assert {path.name for path in tmp_path.iterdir()} == {"P1", "out"}
