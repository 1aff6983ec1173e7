"""The commands: what they do, what they say, and the exit code a script reads."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest
from django.core.management import get_commands, load_command_class
from django.db.utils import ConnectionHandler
from procrastinate.contrib.django.models import ProcrastinateJob

from labeling import tasks
from labeling.models import AuditEvent, Experiment, Image, ImageFile, Job, Measurement, QCSet, ScoreRun, User, Well
from labeling.services.people import COMMAND_LINE
from labeling.services.qc_sets import approve_qc_set, draft_qc_set
from tests.conftest import PASSWORD
from tests.factories import save_cutoff_at
from tests.labeling.plates_on_disk import name_of, pixels, write, write_plate

NAME = "Screen 12"


@pytest.fixture
def run(db, capsys, monkeypatch) -> Callable[..., tuple[int, str]]:
    """Run a command as manage.py does: its exit code and everything it wrote."""
    # A command ends by closing its connections; this one's is the test's transaction.
    monkeypatch.setattr(ConnectionHandler, "close_all", lambda self: None)

    def run_command(name: str, *arguments: object) -> tuple[int, str]:
        capsys.readouterr()
        code = 0
        try:
            command = load_command_class(get_commands()[name], name)
            command.run_from_argv(["manage.py", name, *map(str, arguments)])
        except SystemExit as stop:
            code = stop.code
        written = capsys.readouterr()
        return code, written.out + written.err

    return run_command


@pytest.fixture
def folder(tmp_path):
    return write_plate(tmp_path / "P1")


# ingest


def test_ingest_exits_0_when_all_is_taken(run, folder):
    code, told = run("ingest", NAME, folder, "--wait")
    assert code == 0
    assert "8 image files of 1 plate, 2 wells, 2 channels (DNA, ER)" in told
    assert "8 files taken, 4 new fields." in told
    assert Experiment.objects.get().name == NAME


def test_ingest_exits_1_and_lists_what_was_refused_and_what_is_missing(run, folder):
    (folder / name_of("B02", 1, "ER")).write_bytes(b"")
    (folder / name_of("B03", 1, "ER")).unlink()
    code, told = run("ingest", NAME, folder, "--wait")
    assert code == 1
    assert f"{folder / name_of('B02', 1, 'ER')}: is empty (0 bytes); copy it again from the microscope" in told
    assert "P1 B03 · s1: ER: there is no file" in told
    assert Image.objects.count() == 4


@pytest.mark.parametrize("content", [None, b"", b"text"], ids=["no folder", "an empty file", "a text file"])
def test_ingest_exits_2_when_nothing_can_be_read(run, tmp_path, content):
    if content is not None:
        (tmp_path / "P1").mkdir()
        (tmp_path / "P1" / name_of("B02", 1, "DNA")).write_bytes(content)
    code, told = run("ingest", NAME, tmp_path / "P1", "--wait")
    assert code == 2
    assert ("There is no folder" if content is None else "None of the 1 images") in told
    assert not Experiment.objects.exists()
    assert not AuditEvent.objects.filter(action="experiment.created").exists()


def test_a_wrong_folder_is_not_queued_and_leaves_nothing(run, tmp_path):
    code, told = run("ingest", NAME, tmp_path / "gone")
    assert (code, Job.objects.count(), Experiment.objects.count()) == (2, 0, 0)
    assert f"There is no folder {tmp_path / 'gone'}." in told


def test_a_wrong_folder_leaves_an_experiment_that_was_there_as_it_is(run, folder, tmp_path):
    run("ingest", NAME, folder, "--wait")
    assert run("ingest", NAME, tmp_path / "gone", "--wait")[0] == 2
    assert (Experiment.objects.count(), Image.objects.count()) == (1, 4)


def test_ingest_takes_the_z_that_is_asked_for(run, tmp_path):
    for z in (1, 2, 3):
        write(tmp_path / f"P1_B02_s1_z{z}_DNA.tif", pixels(z))
    assert run("ingest", NAME, tmp_path, "--wait", "--z", "first")[0] == 0
    assert ImageFile.objects.get().z == 1
    assert AuditEvent.objects.get(action="experiment.ingested").new["z"] == "first"
    code, told = run("ingest", "Other", tmp_path, "--wait", "--z", "9")
    assert (code, told.strip()) == (2, "CommandError: There is no z 9; z is 1 to 3.")
    code, told = run("ingest", "Other", tmp_path, "--wait", "--z", "best")
    assert code == 2
    assert "'best' is no rule for z; there are: middle, first, max projection" in told
    assert run("ingest", NAME, tmp_path, "--z", "max projection")[0] == 0
    assert Job.objects.get().parameters == {"source": str(tmp_path), "z": "max projection"}


def test_ingest_again_adds_to_the_experiment_of_that_name(run, folder):
    run("ingest", NAME, folder, "--wait")
    write_plate(folder, wells=("B02", "B03", "B04"))
    code, told = run("ingest", NAME, folder, "--wait")
    assert (code, Experiment.objects.count(), Image.objects.count()) == (0, 1, 6)
    assert "4 files taken, 2 new fields. 8 files were there already." in told


def test_ingest_reads_names_by_a_layout_or_a_pattern(run, folder, tmp_path):
    assert run("ingest", NAME, folder, "--wait", "--layout", "well-plate-channel-site")[0] == 0
    assert run("ingest", NAME, folder, "--wait", "--layout", "sbx")[0] == 2
    write(tmp_path / "own" / "b07-gfp.tif", pixels())
    pattern = r"(?P<well>[A-P][0-9]{2})-(?P<channel>[a-z]+)"
    assert run("ingest", "Own names", tmp_path / "own", "--wait", "--layout", pattern, "--plate", "0412")[0] == 0
    image = Image.objects.with_place().get(experiment__name="Own names")
    assert (image.plate.barcode, image.well.name) == ("0412", "B07")


def test_ingest_refuses_a_pattern_that_names_no_well(run, folder):
    code, told = run("ingest", NAME, folder, "--wait", "--layout", "(?P<channel>[a-z]+)")
    assert code == 2
    assert "name the well, or both its row and its column" in told


def test_ingest_gives_wells_what_the_plate_map_says(run, folder, tmp_path):
    (tmp_path / "map.csv").write_text("well,role,dose_um\nB02,negcon,0\nB03,sample,3\n")
    code, _ = run("ingest", NAME, folder, "--wait", "--platemap", tmp_path / "map.csv")
    assert code == 0
    assert {well.name: (well.role, well.control_class, well.treatment) for well in Well.objects.all()} == {
        "B02": ("control", "negcon", {"dose_um": "0"}),
        "B03": ("sample", "", {"dose_um": "3"}),
    }


def test_ingest_tells_the_rows_of_a_plate_map_that_make_no_sense(run, folder, tmp_path):
    (tmp_path / "map.csv").write_text("well,role\nB02,control\nZZ99,control\n")
    code, told = run("ingest", NAME, folder, "--wait", "--platemap", tmp_path / "map.csv")
    assert code == 1
    assert "map.csv, row 3" in told
    assert Well.objects.filter(role="control").count() == 1


def test_ingest_says_so_when_the_plate_map_is_not_there(run, folder, tmp_path):
    code, told = run("ingest", NAME, folder, "--wait", "--platemap", tmp_path / "map.csv")
    assert code == 1
    assert "map.csv: the file cannot be opened (No such file or directory)" in told
    assert Image.objects.count() == 4


def test_a_plate_map_cannot_be_queued(run, folder, tmp_path):
    code, told = run("ingest", NAME, folder, "--platemap", tmp_path / "map.csv")
    assert code == 2
    assert "add --wait" in told
    assert not Job.objects.exists()


# Without --wait


def queued() -> tuple[Job, ProcrastinateJob]:
    """The job people see, and the one the worker takes."""
    job, waiting = Job.objects.get(state=Job.State.QUEUED), ProcrastinateJob.objects.latest("id")
    assert waiting.args == {"job_id": job.pk}
    assert waiting.lock == f"experiment {job.experiment_id}"
    return job, waiting


def test_without_wait_the_work_is_queued_and_the_worker_does_it(run, folder, worker, monkeypatch):
    monkeypatch.chdir(folder.parent)
    code, told = run("ingest", NAME, "P1")
    job, waiting = queued()
    assert code == 0
    assert f"Queued as job {job.pk}" in told
    assert waiting.task_name == "labeling.tasks.ingest"
    assert job.parameters == {"source": str(folder)}
    assert not Image.objects.exists()
    monkeypatch.chdir("/")
    worker()
    job.refresh_from_db()
    assert (job.state, job.message) == (Job.State.SUCCEEDED, "8 files taken, 4 new fields.")
    assert (job.done, job.total) == (8, 8)
    assert Image.objects.count() == 4

    assert run("measure", NAME)[0] == 0
    job, waiting = queued()
    assert waiting.task_name == "labeling.tasks.measure"
    worker()
    assert Measurement.objects.count() == 4

    assert run("score", NAME, "--seed", 7)[0] == 0
    job, waiting = queued()
    assert waiting.task_name == "training.tasks.score"
    worker()
    assert (ScoreRun.objects.get().seed, ScoreRun.objects.get().n_images) == (7, 4)


def test_a_job_delivered_twice_does_nothing_the_second_time(run, folder, worker):
    run("ingest", NAME, folder)
    job, _ = queued()
    worker()
    tasks.ingest(job_id=job.pk)
    assert AuditEvent.objects.filter(action="experiment.ingested").count() == 1


def test_a_job_that_fails_says_why(run, folder, worker):
    run("ingest", NAME, folder)
    folder.rename(folder.parent / "moved")
    job, _ = queued()
    worker()
    job.refresh_from_db()
    assert job.state == Job.State.FAILED
    assert job.message == f"There is no folder {folder}."


# measure, score


@pytest.mark.parametrize("command", ["measure", "score"])
def test_an_unknown_experiment_exits_2(run, command):
    code, told = run(command, "Screen 13", "--wait")
    assert code == 2
    assert "There is no experiment called 'Screen 13'." in told


def test_measure_says_what_it_did_and_which_field_it_could_not(run, folder):
    run("ingest", NAME, folder, "--wait")
    (folder / name_of("B02", 2, "ER")).write_bytes(b"")
    code, told = run("measure", NAME, "--wait")
    assert "3 fields measured. 1 could not be measured" in told
    assert "P1 B02 · s2: ER: is empty (0 bytes); copy it again from the microscope" in told
    assert code == 0


def test_score_says_which_run_and_needs_metrics(run, folder):
    run("ingest", NAME, folder, "--wait")
    code, told = run("score", NAME, "--wait")
    assert code == 2
    assert "Screen 12 has no metrics yet; measure it first." in told
    run("measure", NAME, "--wait")
    code, told = run("score", NAME, "--wait")
    assert code == 0
    assert f"4 images scored as run {ScoreRun.objects.get().pk} (seed 20080)." in told


def test_too_few_images_to_compare_exit_2(run, tmp_path):
    folder = write_plate(tmp_path / "P1", wells=("B02",))
    run("ingest", NAME, folder, "--wait")
    run("measure", NAME, "--wait")
    code, told = run("score", NAME, "--wait")
    assert code == 2
    assert "Screen 12 has 2 measured images; a score compares images and needs at least 4." in told


# Who acts


def test_the_audit_names_the_person_or_the_command_line(run, folder, scientist):
    run("ingest", NAME, folder, "--wait", "--by", "grace")
    run("measure", NAME, "--wait")
    actors = dict(AuditEvent.objects.values_list("action", "actor__username"))
    assert actors["experiment.ingested"] == "grace"
    assert actors["experiment.measured"] == COMMAND_LINE
    assert not User.objects.get(username=COMMAND_LINE).has_usable_password()


def test_an_unknown_person_cannot_act(run, folder):
    code, told = run("ingest", NAME, folder, "--wait", "--by", "nobody")
    assert code == 2
    assert "There is no active person with the log-in 'nobody'" in told
    assert not Experiment.objects.exists()


# verify_audit


def approved(experiment, scientist) -> QCSet:
    save_cutoff_at(experiment, -0.55, by=scientist)
    draft = draft_qc_set(experiment, by=scientist)
    approve_qc_set(draft, by=scientist, password=PASSWORD, meaning="I reviewed this set")
    return draft


def unprotected(sql: str, *values: object) -> None:
    """Change a record as somebody could who owns the database: with its triggers off."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET session_replication_role = replica")
        cursor.execute(sql, values)
        cursor.execute("SET session_replication_role = DEFAULT")


def test_verify_audit_counts_events_and_sets(run, experiment, scientist):
    approved(experiment, scientist)
    code, told = run("verify_audit")
    assert code == 0
    assert f"{AuditEvent.objects.count()} audit events and 1 signed sets are as written." in told


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("UPDATE labeling_auditevent SET reason = 'no reason' WHERE sequence = 2", "Audit event 2 (cutoff.saved"),
        ("DELETE FROM labeling_auditevent WHERE sequence = 2", "Audit events 2 to 2 are missing"),
        ("UPDATE labeling_qcsetimage SET kept = NOT kept", "was altered"),
        ("UPDATE labeling_signature SET meaning = 'I did not look'", "the signature of Grace Plate does not fit"),
        ("UPDATE labeling_manifest SET sha256 = repeat('0', 64)", "the manifest is not the one that was signed"),
    ],
)
def test_verify_audit_exits_1_with_the_first_bad_record(run, experiment, scientist, sql, fault):
    approved(experiment, scientist)
    unprotected(sql)
    code, told = run("verify_audit")
    assert code == 1
    assert fault in told


# add_person


def test_add_person_makes_a_log_in_with_a_role(run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("cells under glass 12\n"))
    code, told = run("add_person", "ada", "--name", "Ada Lovelace", "--role", "scientist", "--role", "admin")
    assert (code, told) == (0, "Ada Lovelace can log in as ada.\n")
    user = User.objects.get(username="ada")
    assert user.check_password("cells under glass 12")
    assert set(user.groups.values_list("name", flat=True)) == {"scientist", "admin"}
    assert AuditEvent.objects.get(action="person.added").new == {"roles": ["scientist", "admin"]}


@pytest.mark.parametrize(
    ("login", "password", "sentence"),
    [("ada", "12345678", "password"), ("GRACE", "cells under glass 12", "is or was somebody's")],
)
def test_add_person_refuses_a_weak_password_and_a_taken_log_in(run, scientist, monkeypatch, login, password, sentence):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{password}\n"))
    code, told = run("add_person", login, "--name", "Ada Lovelace", "--role", "scientist")
    assert code == 1
    assert sentence in told
    assert User.objects.count() == 1


def test_add_person_knows_no_other_roles(run):
    code, told = run("add_person", "ada", "--name", "Ada", "--role", "boss")
    assert code == 2
    assert "invalid choice: 'boss'" in told
