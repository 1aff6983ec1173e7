"""`import_metrics`: what it prints, how it ends, and the worker's way."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from labeling.models import Experiment, Image, Job, Score, Well

NAME = "Screen 12"


@pytest.fixture
def run(db, capsys):
    """Run a command; returns its exit code and all it printed."""

    def ran(*arguments: object) -> tuple[int, str]:
        try:
            call_command(*map(str, arguments))
            code = 0
        except CommandError as error:
            return error.returncode, str(error)
        except SystemExit as ended:
            code = int(ended.code or 0)
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return ran


@pytest.fixture
def table(tmp_path):
    rows = "".join(f"P1,B{n:02d},{n},{n * n % 7}\n" for n in range(1, 13))
    path = tmp_path / "t.csv"
    path.write_text(f"plate,well,Count_Cells,Count_Debris\n{rows}")
    return path


def test_a_table_is_taken_into_a_new_experiment(run, table):
    code, told = run("import_metrics", NAME, table, "--wait")
    assert code == 0
    assert "t.csv: 2 metrics of 12 fields taken (imported: table), 12 new fields." in told
    assert Image.objects.filter(experiment__name=NAME).count() == 12
    assert run("import_metrics", NAME, table, "--wait") == (
        0,
        "t.csv changed nothing: its 12 fields are there already, number for number.\n",
    )


def test_rows_that_were_refused_are_listed_and_end_with_1(run, table):
    table.write_text(table.read_text() + "P1,,3,4\n")
    code, told = run("import_metrics", NAME, table, "--wait")
    assert code == 1
    assert "  t.csv, row 14, well: the well is missing." in told
    assert Image.objects.count() == 12


def test_a_table_that_cannot_be_read_ends_with_2(run, tmp_path):
    code, told = run("import_metrics", NAME, tmp_path / "missing.csv", "--wait")
    assert code == 2
    assert "There is no file" in told


def test_one_of_two_tables_that_cannot_be_read_stops_not_the_other(run, table, tmp_path):
    code, told = run("import_metrics", NAME, tmp_path / "missing.csv", table, "--wait")
    assert code == 1
    assert "There is no file" in told
    assert Image.objects.count() == 12


def test_a_plate_map_goes_to_the_plates_of_the_table_alone(run, table, tmp_path):
    run("import_metrics", NAME, table, "--wait", "--plate", "P1")
    (tmp_path / "map.csv").write_text("well,genotype\nB01,WT\n")
    other = tmp_path / "other.csv"
    other.write_text(table.read_text().replace("P1", "P2"))
    assert run("import_metrics", NAME, other, "--wait", "--platemap", tmp_path / "map.csv")[0] == 0
    treated = Well.objects.exclude(treatment={}).select_related("plate")
    assert [(well.plate.barcode, well.name, well.treatment) for well in treated] == [("P2", "B01", {"genotype": "WT"})]


def test_a_plate_map_needs_the_wells(run, table, tmp_path):
    assert run("import_metrics", NAME, table, "--platemap", tmp_path / "map.csv")[0] == 2
    assert not Experiment.objects.exists()


def test_a_place_that_is_not_open_makes_no_experiment(run, table, settings, tmp_path):
    settings.SOURCES = [str(tmp_path / "open")]
    code, told = run("import_metrics", NAME, table, "--wait")
    assert code == 2
    assert "is not in a place images may be taken from" in told
    assert not Experiment.objects.exists()


def test_without_wait_the_worker_takes_the_table_and_scores(run, table, worker, monkeypatch):
    monkeypatch.chdir(table.parent)
    code, told = run("import_metrics", NAME, "t.csv")
    assert code == 0
    assert "Queued as job" in told
    worker()
    jobs = Job.objects.order_by("id")
    assert [(job.kind, job.state) for job in jobs] == [
        ("import", "succeeded"),
        ("measure", "succeeded"),  # which says that there is no file
        ("score", "succeeded"),
    ]
    assert (jobs[0].done, jobs[0].total) == (12, 12)
    assert Score.objects.count() == 12


def test_a_job_that_cannot_read_its_table_says_so(run, tmp_path, worker):
    (tmp_path / "t.csv").write_text("plate,n\nP,1\n")
    run("import_metrics", NAME, tmp_path / "t.csv")
    worker()
    job = Job.objects.get()
    assert job.state == "failed"
    assert job.message.startswith("t.csv: no column names the well.")
