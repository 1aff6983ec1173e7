"""Whatever lies in a folder is measured or has a recorded reason, and stops nothing: through ingest and measuring."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Picture

from imaging.__main__ import main
from labeling.models import Experiment, Image, ImageFile, Measurement, RefusedFile
from labeling.services import thumbnails
from labeling.services.experiments import create_experiment
from labeling.services.ingest import ingest_source
from labeling.services.measuring import measure_experiment
from tests.labeling.plates_on_disk import SIDE_PX, name_of, pixels, write

SHAPE = (SIDE_PX, SIDE_PX)


@pytest.fixture(autouse=True)
def _one_process(settings):
    settings.WORKERS = 1


def tiff(plane: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, plane, **{"photometric": "minisblack", **options})
    return stream.getvalue()


def png(plane: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Picture.fromarray(plane).save(stream, "PNG")
    return stream.getvalue()


def floats(n_missing: int) -> np.ndarray:
    plane = pixels(1).astype(np.float32)
    plane.flat[:n_missing] = np.nan
    return plane


def damaged() -> bytes:
    """Whole by its header, but its compressed pixels are not."""
    data = bytearray(tiff(pixels(1), compression="zlib"))
    data[len(data) // 2 : len(data) // 2 + 200] = bytes(200)
    return bytes(data)


# What it is: its bytes, and the reason, or None where it has a defined value.
HOSTILE: dict[str, tuple[Callable[[], bytes], str | None]] = {
    "constant": (lambda: tiff(np.full(SHAPE, 700, np.uint16)), None),
    "all zero": (lambda: tiff(np.zeros(SHAPE, np.uint16)), None),
    "all at the ceiling": (lambda: tiff(np.full(SHAPE, 65535, np.uint16)), None),
    "few NaN": (lambda: tiff(floats(5)), None),
    "half NaN": (lambda: tiff(floats(SIDE_PX**2 // 2)), "has no number (NaN or infinite) in 50.0 % of its pixels"),
    "only NaN": (lambda: tiff(floats(SIDE_PX**2)), "has no number (NaN or infinite) in 100.0 % of its pixels"),
    "grey RGB": (lambda: tiff(np.repeat(pixels(1)[..., None], 3, -1), photometric="rgb"), None),
    "8-bit among 16-bit": (lambda: tiff(np.full(SHAPE, 9, np.uint8)), "holds 8-bit numbers, where other files"),
    "RGB": (
        lambda: tiff(np.random.default_rng(1).integers(0, 255, (*SHAPE, 3), np.uint8), photometric="rgb"),
        "is a colour picture",
    ),
    "cut short": (lambda: tiff(pixels(1))[:-900], "is cut short"),
    "damaged inside": (damaged, "is damaged"),
    "a PNG named .tif": (lambda: png(pixels(1)), None),
    "a text named .tif": (lambda: b"Well,Site\nB02,1\n", "holds text, not an image"),
    "0 bytes": (lambda: b"", "is empty (0 bytes)"),
    "only zero bytes": (lambda: bytes(5000), "holds only zeros"),
    "one pixel among others": (lambda: tiff(np.full((1, 1), 9, np.uint16)), "is 1 x 1 pixels, where"),
    "30,000 pixels wide among others": (lambda: tiff(np.zeros((2, 30_000), np.uint16)), "is 30000 x 2 pixels, where"),
}


def run(folder: Path, scientist, name: str = "Hostile") -> Experiment:
    """Ingest and measure a folder; every field must be told."""
    experiment = create_experiment(name, by=scientist)
    ingest_source(experiment, str(folder), by=scientist)
    measure_experiment(experiment, by=scientist)
    check_every_field_is_told(experiment)
    return experiment


def run_again(experiment: Experiment, folder: Path, scientist) -> None:
    """The second time must find nothing new."""
    counts = [model.objects.count() for model in (Image, ImageFile, Measurement, RefusedFile)]
    ingest_source(experiment, str(folder), by=scientist)
    measure_experiment(experiment, by=scientist)
    assert [model.objects.count() for model in (Image, ImageFile, Measurement, RefusedFile)] == counts
    check_every_field_is_told(experiment)


def check_every_field_is_told(experiment: Experiment) -> None:
    """A field is measured, or says why not and its file is among the refused."""
    for image in experiment.images.all():
        measured = image.measurements.count()
        refused = image.refused_files.filter(resolved_at__isnull=True).count()
        if image.state == Image.State.READY:
            assert (measured, refused, image.problem) == (1, 0, "")
            path = thumbnails.path_of(experiment.pk, experiment.display_version, image.pk, "composite")
            assert thumbnails.default_storage.exists(path)
        else:
            assert measured == 0
            assert refused >= 1
            assert image.problem


def good_fields(folder: Path) -> None:
    for n, well in enumerate(("A01", "A02", "A03")):
        write(folder / name_of(well, 1, "DNA"), pixels(n))


def test_each_hostile_file_has_a_value_or_a_reason_and_the_rest_is_measured(tmp_path, scientist):
    good_fields(tmp_path)
    for column, (make, _) in enumerate(HOSTILE.values(), start=1):
        (tmp_path / name_of(f"B{column:02d}", 1, "DNA")).write_bytes(make())
    experiment = run(tmp_path, scientist)
    found = {
        (image.well.row, image.well.column): (image.state, image.problem)
        for image in experiment.images.select_related("well")
    }
    for column, (name, (_, reason)) in enumerate(HOSTILE.items(), start=1):
        state, problem = found[2, column]
        assert (state == Image.State.READY) == (reason is None), (name, problem)
        assert (reason or "") in problem, name
    assert {found[1, column] for column in (1, 2, 3)} == {(Image.State.READY, "")}
    run_again(experiment, tmp_path, scientist)


def test_the_command_for_clusters_says_the_same_of_every_field(tmp_path, scientist, capsys):
    folder = tmp_path / "P1"
    wells = [f"A{column:02d}" for column in range(1, 7)] + [f"B{column:02d}" for column in range(1, len(HOSTILE) + 1)]
    makers = [lambda: tiff(pixels(1))] * 6 + [make for make, _ in HOSTILE.values()]
    for well, make in zip(wells, makers, strict=True):
        write(folder / name_of(well, 1, "ER"), pixels(2))
        (folder / name_of(well, 1, "DNA")).write_bytes(make())
    (folder / name_of("A06", 1, "ER")).unlink()
    assert main(["measure", str(folder), str(tmp_path / "out"), "--workers", "1"]) == 1
    told = {row["well"]: row["error"] or "" for row in pyarrow.parquet.read_table(tmp_path / "out").to_pylist()}
    experiment = create_experiment("Hostile", by=scientist)
    ingest_source(experiment, str(folder), by=scientist)
    measure_experiment(experiment, by=scientist)
    assert told == {image.well.name: image.problem for image in experiment.images.select_related("well")}
    assert told["A06"] == "ER: there is no file"
    assert len({problem for problem in told.values() if problem}) >= 11


@pytest.mark.parametrize(("shape", "dtype"), [((1, 1), "uint8"), ((1, 1), "uint16"), ((12, 30_000), "uint16")])
def test_planes_of_odd_sizes_are_measured_when_all_are_alike(tmp_path, scientist, shape, dtype):
    random = np.random.default_rng(3)
    for well in ("A01", "A02"):
        write(tmp_path / name_of(well, 1, "DNA"), random.integers(1, 200, shape).astype(dtype))
    experiment = run(tmp_path, scientist)
    assert set(experiment.images.values_list("state", flat=True)) == {Image.State.READY}


@pytest.mark.parametrize(("first", "then"), [("uint16", "uint8"), ("uint8", "uint16")])
def test_a_file_that_changed_its_depth_after_ingest_fails_its_field_alone(tmp_path, scientist, first, then):
    for n, well in enumerate(("A01", "A02", "A03")):
        write(tmp_path / name_of(well, 1, "DNA"), (pixels(n) // 16).astype(first))
    experiment = create_experiment("Changed", by=scientist)
    ingest_source(experiment, str(tmp_path), by=scientist)
    measure_experiment(experiment, by=scientist)
    Measurement.objects.all().delete()
    write(tmp_path / name_of("A02", 1, "DNA"), (pixels(2) // 16).astype(then))
    measure_experiment(experiment, by=scientist)
    (failed,) = experiment.images.broken()
    assert failed.problem.startswith(f"DNA: holds {8 if then == 'uint8' else 16}-bit numbers, where other files")
    check_every_field_is_told(experiment)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kinds=st.lists(st.sampled_from(sorted(HOSTILE)), min_size=1, max_size=4),
    cuts=st.lists(st.tuples(st.integers(0, 5000), st.binary(max_size=3)), max_size=3),
)
def test_any_mixture_of_hostile_and_changed_files_never_stops_a_run(
    tmp_path_factory, scientist, kinds: list[str], cuts: list[tuple[int, bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("hostile")
    good_fields(folder)
    for n, kind in enumerate(kinds):
        data = bytearray(HOSTILE[kind][0]())
        for place, change in cuts:
            at = place % (len(data) + 1)
            data[at : at + len(change)] = change
        (folder / name_of(f"B{n + 1:02d}", 1, "DNA")).write_bytes(data)
    experiment = run(folder, scientist, name=folder.name)
    assert experiment.images.filter(state=Image.State.READY, well__row=1).count() == 3
