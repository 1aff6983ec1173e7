"""What `python -m imaging measure` writes is what `import_metrics` takes back: number for number, field for field."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from imaging import measured_table
from imaging.__main__ import main
from imaging.metrics import METRIC_SET_VERSION, metric_columns
from labeling.models import Experiment, Image, ImageFile, Job, Measurement, MetricSet, Plate
from labeling.services import measuring
from labeling.services.experiments import create_experiment
from labeling.services.import_metrics import ImportReport, import_metrics, queue_import
from labeling.services.ingest import ingest_source
from labeling.services.measuring import measure_experiment
from labeling.services.metric_sets import current_metric_set
from labeling.services.overview import n_to_measure
from tests.chunks import in_this_process
from tests.labeling.plates_on_disk import name_of, write_plate
from tests.networks import write_network

IMPORTED = f"imported: cellqc metrics {METRIC_SET_VERSION}"
WELLS = ("B02", "B03", "B04")
NO_ER = "ER: there is no file"
EMPTY = "DNA: the file is empty (0 bytes); copy it again from the microscope"


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    monkeypatch.setattr(measured_table, "run_in_chunks", in_this_process)
    monkeypatch.setattr(measuring, "run_in_chunks", in_this_process)


@pytest.fixture
def experiment(scientist) -> Experiment:
    return create_experiment("Round trip", by=scientist)


@pytest.fixture
def take(experiment, scientist):
    """Take a table into the experiment."""
    return lambda path: import_metrics(experiment, str(path), by=scientist)


def damaged_plate(folder: Path, plate: str = "P1") -> Path:
    """Four sound fields, one without ER, one whose DNA is empty; whatever it is called, with the same pixels."""
    write_plate(folder, wells=WELLS, plate=plate)
    (folder / name_of("B04", 1, "ER", plate=plate)).unlink()
    (folder / name_of("B04", 2, "DNA", plate=plate)).write_bytes(b"")
    return folder


def table_of(folder: Path, *options: str, code: int = 1) -> Path:
    out = folder.parent / f"{folder.name}.parquet"
    assert main(["measure", str(folder), str(out), *options]) == code
    return out


def look_at(experiment: Experiment, folder: Path, scientist, **options: str) -> None:
    ingest_source(experiment, str(folder), by=scientist, **options)
    measure_experiment(experiment, by=scientist)


def problems_of(experiment: Experiment) -> dict[tuple[str, int], str]:
    images = experiment.images.broken().select_related("well")
    return {(image.well.name, image.site): image.problem for image in images}


def check_numbers(metric_set: MetricSet, path: Path) -> None:
    """Every sound row of the table is in the set, to the bit, and nothing else."""
    rows = [row for row in pyarrow.parquet.read_table(path).to_pylist() if row["error"] is None]
    stored = {
        (one.image.well.name, one.image.site, one.image.timepoint): np.array(one.values, np.float32)
        for one in metric_set.measurements.select_related("image__well")
    }
    assert stored.keys() == {(row["well"], row["site"], row["timepoint"]) for row in rows}
    for row in rows:
        given = [np.nan if row[column] is None else row[column] for column in metric_set.columns]
        np.testing.assert_array_equal(
            stored[row["well"], row["site"], row["timepoint"]], np.array(given, np.float32), strict=True
        )


def test_a_new_experiment_has_every_row_and_says_which_version(tmp_path, experiment, take):
    path = table_of(damaged_plate(tmp_path / "P1"))
    report = take(path)
    assert (report.n_new_images, report.n_added, report.n_failed, report.n_problems) == (6, 4, 2, 0)
    (metric_set,) = experiment.metric_sets.all()
    assert (metric_set.version, metric_set.is_imported) == (IMPORTED, True)
    assert set(metric_set.columns) == set(metric_columns(["DNA", "ER"]))
    assert [channel.name for channel in experiment.channels.all()] == ["DNA", "ER"]
    assert problems_of(experiment) == {("B04", 1): NO_ER, ("B04", 2): EMPTY}
    check_numbers(metric_set, path)
    again = take(path)
    assert (again.changed_nothing, again.n_failed) == (True, 2)


def test_images_that_come_later_are_the_fields_of_the_table(tmp_path, experiment, take, scientist):
    folder = damaged_plate(tmp_path / "P1")
    path = table_of(folder)
    take(path)
    look_at(experiment, folder, scientist)
    assert experiment.images.count() == 6
    assert problems_of(experiment) == {("B04", 1): NO_ER, ("B04", 2): EMPTY}
    measured = current_metric_set(experiment)
    assert not measured.is_imported
    check_numbers(measured, path)


def test_images_that_are_there_are_found_by_place_and_still_looked_at_once(tmp_path, experiment, take, scientist):
    folder = damaged_plate(tmp_path / "P1")
    ingest_source(experiment, str(folder), by=scientist)
    path = table_of(folder)
    report = take(path)
    assert (report.n_new_images, report.n_added, report.n_problems) == (0, 4, 0)
    assert current_metric_set(experiment).version == IMPORTED
    # Pictures and hashes are in no table.
    assert n_to_measure(experiment) == 4
    measure_experiment(experiment, by=scientist)
    assert all(image.has_picture for image in experiment.images.filter(state=Image.State.READY))
    check_numbers(current_metric_set(experiment), path)


def test_a_plate_of_another_name_is_found_by_its_pixels_its_broken_fields_too(tmp_path, experiment, take, scientist):
    look_at(experiment, damaged_plate(tmp_path / "here", plate="P7"), scientist)
    path = table_of(damaged_plate(tmp_path / "P1"))
    report = take(path)
    assert (report.n_new_images, report.n_added, report.n_failed, report.n_problems) == (0, 4, 2, 0)
    assert "Plate P1 is called P7 here." in report.summary
    assert (report.plates, Plate.objects.count(), Image.objects.count()) == (["P7"], 1, 6)
    check_numbers(experiment.metric_sets.get(version=IMPORTED), path)


def test_a_new_plate_that_shares_one_blank_field_is_a_plate_of_its_own(tmp_path, experiment, take, scientist):
    look_at(experiment, write_plate(tmp_path / "P1"), scientist)
    other = write_plate(tmp_path / "P2", plate="P2", top=900)
    for channel in ("DNA", "ER"):
        shutil.copy(tmp_path / "P1" / name_of("B02", 1, channel), other / name_of("B02", 1, channel, plate="P2"))
    report = take(table_of(other, code=0))
    assert (report.n_new_images, report.n_problems) == (3, 0)


def test_pixels_nobody_read_yet_are_not_taken_for_new_fields(tmp_path, experiment, take, scientist):
    ingest_source(experiment, str(damaged_plate(tmp_path / "here", plate="P7")), by=scientist)
    path = table_of(damaged_plate(tmp_path / "P1"))
    report = take(path)
    assert (report.n_new_images, report.n_added) == (0, 0)
    assert report.problems[0][1].startswith(
        "there is no plate P1 here, and well B02, site 1 of plate P7, which may be the same field, was not measured"
    )
    measure_experiment(experiment, by=scientist)
    assert take(path).n_added == 4
    assert not experiment.refused_files.filter(resolved_at__isnull=True, uri__startswith="P1.parquet").exists()


def test_an_error_about_a_field_that_is_sound_here_is_told(tmp_path, experiment, take, scientist):
    look_at(experiment, write_plate(tmp_path / "here", wells=WELLS), scientist)
    report = take(table_of(damaged_plate(tmp_path / "P1")))
    assert report.problems == [
        ("P1.parquet, row 5", f"no number ({NO_ER}); what is known of this field here stays as it is"),
        ("P1.parquet, row 6", f"no number ({EMPTY}); what is known of this field here stays as it is"),
    ]
    assert not experiment.images.broken().exists()
    assert experiment.refused_files.filter(resolved_at__isnull=True).count() == 2


def test_a_table_of_errors_alone_makes_broken_fields_and_no_numbers(tmp_path, experiment, take):
    folder = write_plate(tmp_path / "P1", wells=("B02",))
    for path in folder.iterdir():
        path.write_bytes(b"")
    report = take(table_of(folder, code=2))
    assert (report.n_new_images, report.n_failed, report.n_added) == (2, 2, 0)
    assert not MetricSet.objects.exists()


def test_numbers_of_another_version_are_a_set_of_their_own(tmp_path, experiment, take, monkeypatch):
    take(table_of(write_plate(tmp_path / "P1"), code=0))
    monkeypatch.setattr(measured_table, "METRIC_SET_VERSION", "2")
    report = take(table_of(write_plate(tmp_path / "P2", plate="P2", top=900), code=0))
    assert set(experiment.metric_sets.values_list("version", flat=True)) == {IMPORTED, "imported: cellqc metrics 2"}
    assert (report.version, report.n_carried) == ("imported: cellqc metrics 2", 4)
    assert f"keep their numbers of another version ({IMPORTED})" in report.summary


@pytest.mark.parametrize("with_images", [False, True])
def test_the_line_of_jobs_ends_well_and_says_what_had_no_file(
    tmp_path, experiment, scientist, worker, settings, with_images
):
    settings.EMBEDDINGS, settings.NETWORK = True, str(write_network(tmp_path / "tiny.onnx"))
    settings.WORKERS = 1
    folder = damaged_plate(tmp_path / "P1")
    if with_images:
        ingest_source(experiment, str(folder), by=scientist)
    queue_import(experiment, by=scientist, table=str(table_of(folder)))
    worker()
    jobs = Job.objects.order_by("id")
    assert [(job.kind, job.state) for job in jobs] == [
        (kind, "succeeded") for kind in ("import", "measure", "embed", "score")
    ]
    said = [job.message for job in jobs]
    assert f"metrics of 4 fields taken ({IMPORTED})" in said[0]
    if with_images:
        assert (said[1], said[2]) == ("4 fields measured.", "The network looked at 4 fields.")
    else:
        assert (said[1], said[2]) == (
            "There is no image file to measure.",
            "There is no image file for the network to look at.",
        )
    assert said[3] == "4 images scored."


def check_real(
    experiment: Experiment, folder: Path, scientist, *, code: int, layout: str | None = None
) -> ImportReport:
    """Table first, images later, the table once more: the same fields and numbers, whichever came first."""
    path = table_of(folder, *(["--layout", layout] if layout else []), code=code)
    first = import_metrics(experiment, str(path), by=scientist)
    assert first.n_problems == 0
    n_images, problems = experiment.images.count(), problems_of(experiment)
    look_at(experiment, folder, scientist, **({"layout": layout} if layout else {}))
    assert experiment.images.count() == n_images
    assert problems_of(experiment) == problems
    check_numbers(current_metric_set(experiment), path)
    assert not current_metric_set(experiment).is_imported
    assert Measurement.objects.count() == 2 * first.n_added
    assert import_metrics(experiment, str(path), by=scientist).changed_nothing
    return first


def test_a_real_8_bit_plate(shared, tmp_path, experiment, scientist):
    (tmp_path / "sbs").mkdir()
    for name in ("Channel1-01-A-01.tif", "Channel2-01-A-01.tif", "Channel1-02-A-02.tif", "Channel2-02-A-02.tif"):
        shutil.copy(shared / "data" / "sbs-96well-2ch" / name, tmp_path / "sbs")
    report = check_real(experiment, tmp_path / "sbs", scientist, code=0)
    assert (report.n_added, ImageFile.objects.count()) == (2, 4)


@pytest.mark.parametrize(
    "folder", ["imagexpress-exported-9987", "imagexpress-1well-3ch-2site-zmix-t", "operetta-phenix", "cv8000"]
)
def test_real_layouts(shared, tmp_path, experiment, scientist, folder):
    source = tmp_path / folder
    source.symlink_to(shared / "data" / "layouts" / folder)
    check_real(experiment, source, scientist, code=0)
