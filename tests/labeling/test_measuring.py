"""Measuring: the pixels' numbers in the database, thumbnails in the storage, once, and again where it stopped."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from django.core.files.storage import default_storage

from imaging.metrics import METRIC_SET_VERSION, measure_field_planes, metric_columns
from labeling.models import AuditEvent, Channel, Experiment, Image, ImageFile, Job, Measurement, MetricSet, RefusedFile
from labeling.problems import BadValue, Conflict
from labeling.services import measuring
from labeling.services.experiments import create_experiment, set_display_ranges
from labeling.services.ingest import ingest_source
from labeling.services.measuring import measure_experiment, redraw_thumbnails, sampled_ranges
from labeling.services.metric_sets import current_metric_set
from labeling.services.thumbnails import path_of
from tests.labeling.plates_on_disk import SIDE_PX, name_of, pixels, write, write_plate


@pytest.fixture
def empty_experiment(scientist) -> Experiment:
    return create_experiment("Screen 12", by=scientist)


@pytest.fixture
def take(empty_experiment, scientist) -> Callable[[Path], object]:
    return lambda folder: ingest_source(empty_experiment, str(folder), by=scientist)


@pytest.fixture
def measure(empty_experiment, scientist) -> Callable[..., str]:
    return lambda **options: measure_experiment(empty_experiment, by=scientist, **options)


@pytest.fixture
def folder(tmp_path, take) -> Path:
    """Four fields of two channels, ingested."""
    write_plate(tmp_path / "P1")
    take(tmp_path / "P1")
    return tmp_path / "P1"


def image_at(well: str, site: int = 1) -> Image:
    (image,) = [image for image in Image.objects.with_place() if (image.well.name, image.site) == (well, site)]
    return image


def value_of(image: Image, column: str) -> float:
    measurement = Measurement.objects.select_related("metric_set").get(image=image)
    return measurement.values[measurement.metric_set.columns.index(column)]


def thumbnail(image: Image, view: str, *, version: int = 1) -> np.ndarray:
    """Pixels of a stored thumbnail."""
    with default_storage.open(path_of(image.experiment_id, version, image.pk, view)) as file:
        return cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)


def stored_files() -> dict[str, tuple[int, bytes]]:
    """Every file in the storage: when it was written, and its bytes."""
    root = Path(default_storage.location)
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in root.rglob("*.jpg")}


# What is kept


def test_values_are_those_of_the_pixels_in_the_order_of_the_metric_set(folder, measure, empty_experiment):
    assert measure() == "4 fields measured."
    metric_set = current_metric_set(empty_experiment)
    assert metric_set.version == METRIC_SET_VERSION
    assert metric_set.columns == metric_columns(["DNA", "ER"])
    assert Measurement.objects.count() == 4
    for measurement in Measurement.objects.select_related("image"):
        files = measurement.image.files.select_related("channel").order_by("channel__position")
        planes = [tifffile.imread(file.uri) for file in files]
        expected = measure_field_planes(planes, [65535, 65535], [file.channel.camera_ceiling for file in files])
        # The column is real[]: the very 4-byte floats nearest to the values.
        np.testing.assert_array_equal(np.array(measurement.values, np.float32), expected.astype(np.float32))


def test_every_channel_and_the_composite_have_a_thumbnail(folder, measure):
    measure()
    for image in Image.objects.all():
        assert thumbnail(image, "0").shape == (SIDE_PX, SIDE_PX)
        assert thumbnail(image, "1").shape == (SIDE_PX, SIDE_PX)
        assert thumbnail(image, "composite").shape == (SIDE_PX, SIDE_PX, 3)
    assert len(stored_files()) == 12


def test_a_large_field_has_a_thumbnail_of_256_pixels(take, measure, tmp_path):
    for site in (1, 2):
        write(tmp_path / "P1" / name_of("B02", site, "DNA"), np.tile(pixels(site, side_px=64), (6, 8)))
    take(tmp_path / "P1")
    measure()
    assert thumbnail(image_at("B02"), "0").shape == (192, 256)


def test_hashes_are_those_of_the_files(folder, measure):
    measure()
    for image in Image.objects.all():
        hashes = []
        for file in image.files.order_by("channel__position"):
            hashes.append(hashlib.sha256(Path(file.uri).read_bytes()).hexdigest())
            assert file.sha256 == hashes[-1]
            assert file.camera_ceiling == 4095
        text = "\n".join(f"{sha256}:0" for sha256 in hashes)
        assert image.content_hash == hashlib.sha256(text.encode()).hexdigest()


def test_the_audit_counts_what_was_measured(folder, measure, scientist):
    measure()
    event = AuditEvent.objects.get(action="experiment.measured")
    assert event.actor == scientist
    assert event.new == {"metric_set": METRIC_SET_VERSION, "fields": 4, "failed": 0}


def test_an_incomplete_field_is_not_measured(folder, take, measure):
    write(folder / name_of("B04", 1, "DNA"), pixels(50))
    take(folder)
    assert measure() == "4 fields measured."
    assert not image_at("B04").measurements.exists()


def test_an_experiment_without_images_cannot_be_measured(measure):
    with pytest.raises(BadValue, match="Screen 12 has no images yet; ingest a folder first"):
        measure()


# Again, and where it stopped


def test_measuring_twice_changes_nothing(folder, measure):
    measure()
    before = stored_files(), list(Measurement.objects.values_list("id", "measured_at"))
    assert measure() == "Everything is measured already."
    assert (stored_files(), list(Measurement.objects.values_list("id", "measured_at"))) == before
    assert AuditEvent.objects.filter(action="experiment.measured").count() == 1


def test_what_was_measured_before_a_stop_stays_and_only_the_rest_is_done(folder, measure, monkeypatch):
    monkeypatch.setattr(measuring, "CHUNK", 1)

    def stop_after_two(done: int, total: int) -> None:
        assert total == 4
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(progress=stop_after_two)
    done = dict(Measurement.objects.values_list("image_id", "measured_at"))
    assert len(done) == 2
    assert Image.objects.exclude(content_hash="").count() == 2
    seen = []
    assert measure(progress=lambda n, total: seen.append((n, total))) == "2 fields measured."
    assert seen == [(1, 2), (2, 2)]
    after = dict(Measurement.objects.values_list("image_id", "measured_at"))
    assert len(after) == 4
    assert after.items() >= done.items()


def test_fields_that_came_later_are_measured_alone(folder, take, measure):
    measure()
    before = dict(Measurement.objects.values_list("image_id", "measured_at"))
    write_plate(folder, wells=("B02", "B03", "B04"))
    take(folder)
    assert measure() == "2 fields measured."
    assert dict(Measurement.objects.values_list("image_id", "measured_at")).items() >= before.items()


def test_a_new_channel_means_a_new_metric_set_and_measuring_again(folder, take, measure, empty_experiment):
    measure()
    first = current_metric_set(empty_experiment)
    for well in ("B02", "B03"):
        for site in (1, 2):
            write(folder / name_of(well, site, "RNA"), pixels(site))
    take(folder)
    assert current_metric_set(empty_experiment) is None
    assert measure() == "4 fields measured."
    assert current_metric_set(empty_experiment) != first
    assert first.measurements.count() == 4


# Broken files


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (Path.unlink, "ER: is not there; it was moved or deleted since it was listed"),
        (lambda path: path.write_bytes(b""), "ER: is empty (0 bytes); copy it again from the microscope"),
        (lambda path: path.write_bytes(path.read_bytes()[:-99]), "ER: is cut short: a part of the picture"),
    ],
    ids=["deleted", "emptied", "cut short"],
)
def test_a_file_broken_after_ingest_fails_its_image_alone_until_it_is_mended(folder, measure, damage, reason):
    path = folder / name_of("B02", 2, "ER")
    whole = path.read_bytes()
    damage(path)
    assert measure() == "3 fields measured. 1 could not be measured (see list)."
    failed = image_at("B02", 2)
    assert failed.state == Image.State.FAILED
    assert failed.problem.startswith(reason)
    assert list(Image.objects.broken()) == [failed]
    refusal = RefusedFile.objects.get()
    assert (refusal.uri, refusal.image, refusal.resolved_at) == (str(path), failed, None)
    assert refusal.reason == failed.problem

    assert measure() == "0 fields measured. 1 could not be measured (see list)."
    assert RefusedFile.objects.count() == 1

    path.write_bytes(whole)
    assert measure() == "1 fields measured."
    mended = image_at("B02", 2)
    assert (mended.state, mended.problem) == (Image.State.READY, "")
    assert mended.content_hash
    assert RefusedFile.objects.get().resolved_at is not None


def test_when_every_file_is_gone_every_image_says_so(folder, measure):
    for path in folder.iterdir():
        path.unlink()
    assert measure() == "0 fields measured. 4 could not be measured (see list)."
    assert set(Image.objects.values_list("state", flat=True)) == {Image.State.FAILED}
    assert all("DNA: is not there" in image.problem for image in Image.objects.all())


def test_a_second_file_for_the_same_place_stays_refused_after_measuring(folder, take, measure, tmp_path):
    take(write(tmp_path / "copy" / name_of("B02", 1, "DNA"), pixels(0)).parent)
    measure()
    assert RefusedFile.objects.get().resolved_at is None


def test_a_file_that_crashes_its_reader_fails_its_image_alone(folder, measure, monkeypatch):
    """The crash itself is tested with the executor; here is what becomes of it."""

    def crash_one(work, items, *, when_crashed, **_options):
        fields = list(items)
        if work is measuring.sample_fields:
            yield work(fields)
        else:
            yield [*work(fields[1:]), when_crashed(fields[0])]

    monkeypatch.setattr(measuring, "run_in_chunks", crash_one)
    assert measure() == "3 fields measured. 1 could not be measured (see list)."
    failed = Image.objects.get(state=Image.State.FAILED)
    assert failed.problem.startswith("Reading these files made the process crash: B02_P1_1_1_DNA_001.tif, ")
    assert "Copy them again" in failed.problem


# The camera's ceiling


SATURATED = "CellQC_SaturatedPercent_DNA"


def write_field(folder: Path, well: str, top: int) -> None:
    """One field of one channel whose brightest pixels, a tenth of all, have the value `top`."""
    plane = np.tile(np.arange(100, 100 + SIDE_PX, dtype=np.uint16), (SIDE_PX, 1))
    plane[: SIDE_PX // 10] = top
    write(folder / name_of(well, 1, "DNA"), plane)


SHARE = 100 * (SIDE_PX // 10) / SIDE_PX


def test_fields_brighter_than_the_sample_raise_the_ceiling_and_the_rest_is_measured_again(
    take, measure, tmp_path, monkeypatch
):
    """The sample says 12 bits; a later field shows 16. What was called saturated at 4095 was not."""
    monkeypatch.setattr(measuring, "SAMPLED_FIELDS", 1)
    write_field(tmp_path / "P1", "B02", 4095)
    write_field(tmp_path / "P1", "B03", 60_000)
    write_field(tmp_path / "P1", "B04", 3000)
    take(tmp_path / "P1")
    assert measure() == "3 fields measured."
    assert Channel.objects.get().camera_ceiling == 65535
    assert [value_of(image_at(well), SATURATED) for well in ("B02", "B03", "B04")] == [0, 0, 0]
    assert image_at("B02").files.get().camera_ceiling == 65535


def test_the_ceiling_rises_with_a_plate_that_comes_later(take, measure, tmp_path):
    write_field(tmp_path / "P1", "B02", 4095)
    write_field(tmp_path / "P1", "B03", 3000)
    take(tmp_path / "P1")
    measure()
    assert Channel.objects.get().camera_ceiling == 4095
    assert value_of(image_at("B02"), SATURATED) == pytest.approx(SHARE)
    untouched = Measurement.objects.get(image=image_at("B03"))
    write_field(tmp_path / "P1", "B04", 65_535)
    take(tmp_path / "P1")
    assert measure() == "1 fields measured."
    assert Channel.objects.get().camera_ceiling == 65535
    assert value_of(image_at("B02"), SATURATED) == 0
    assert value_of(image_at("B04"), SATURATED) == pytest.approx(SHARE)
    assert Measurement.objects.get(image=image_at("B03")).measured_at == untouched.measured_at


@pytest.mark.parametrize("stop_at", [2, 3])
def test_a_stop_does_not_forget_a_field_brighter_than_the_ceiling(take, measure, tmp_path, monkeypatch, stop_at):
    """The bright field is measured, then measuring stops, with a field to do or at the very end."""
    monkeypatch.setattr(measuring, "SAMPLED_FIELDS", 1)
    monkeypatch.setattr(measuring, "CHUNK", 1)
    write_field(tmp_path / "P1", "B02", 4095)
    write_field(tmp_path / "P1", "B03", 60_000)
    write_field(tmp_path / "P1", "B04", 3000)
    take(tmp_path / "P1")

    def one_after_another(work, items, **_options):
        yield from (work([item]) for item in items)

    monkeypatch.setattr(measuring, "run_in_chunks", one_after_another)

    def stop(done: int, total: int) -> None:
        if done == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(progress=stop)
    measure()
    assert Channel.objects.get().camera_ceiling == 65535
    assert value_of(image_at("B02"), SATURATED) == 0


def test_the_saturated_fields_of_a_10_bit_camera_are_found(take, measure, tmp_path):
    for n in range(1, 7):
        write(tmp_path / name_of(f"B{n:02d}", 1, "DNA"), pixels(n, light=1.0 if n > 2 else 0.05, top=1023))
    take(tmp_path)
    measure()
    assert Channel.objects.get().camera_ceiling == 1023
    position = measuring.SATURATED.column("DNA")
    columns = MetricSet.objects.get().columns
    shares = {m.image.well.column: m.values[columns.index(position)] for m in Measurement.objects.all()}
    assert [n for n, share in shares.items() if share > 0] == [3, 4, 5, 6]
    measure()
    assert Channel.objects.get().camera_ceiling == 1023


def test_the_ceiling_does_not_fall(take, measure, tmp_path):
    write_field(tmp_path / "P1", "B02", 60_000)
    take(tmp_path / "P1")
    measure()
    write_field(tmp_path / "P1", "B03", 4095)
    take(tmp_path / "P1")
    measure()
    assert Channel.objects.get().camera_ceiling == 65535
    assert value_of(image_at("B03"), SATURATED) == 0


# How it looks


def test_a_dim_well_looks_dim(take, measure, tmp_path):
    folder = tmp_path / "P1"
    for n, (well, light) in enumerate([("B02", 1.0), ("B03", 1.0), ("B04", 0.2)]):
        write(folder / name_of(well, 1, "DNA"), pixels(n, light=light))
    take(folder)
    measure()
    bright, dim = (thumbnail(image_at(well), "0").mean() for well in ("B02", "B04"))
    assert dim < 0.6 * bright


def test_later_fields_are_shown_in_the_range_already_set(folder, take, measure):
    measure()
    ranges = list(Channel.objects.values_list("display_low", "display_high"))
    write(folder / name_of("B04", 1, "DNA"), pixels(7, light=9, top=60_000))
    write(folder / name_of("B04", 1, "ER"), pixels(8, light=9, top=60_000))
    take(folder)
    measure()
    assert list(Channel.objects.values_list("display_low", "display_high")) == ranges


def test_sampled_ranges_are_those_measuring_sets(folder, measure, empty_experiment):
    measure()
    ranges = {channel.name: channel.display_range for channel in empty_experiment.channels.all()}
    assert sampled_ranges(empty_experiment) == ranges


def test_new_ranges_are_drawn_beside_the_old_pictures_until_all_are_there(
    folder, measure, empty_experiment, scientist, monkeypatch
):
    monkeypatch.setattr(measuring, "CHUNK", 1)
    measure()
    old = stored_files()
    dna, er = ({image.pk: thumbnail(image, view, version=1) for image in Image.objects.all()} for view in "01")
    job = set_display_ranges(empty_experiment, {"DNA": (0, 20_000)}, by=scientist)
    assert (job.kind, job.state) == (Job.Kind.THUMBNAILS, Job.State.QUEUED)

    def stop_after_one(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        redraw_thumbnails(empty_experiment, progress=stop_after_one)
    empty_experiment.refresh_from_db()
    assert empty_experiment.display_version == 1
    assert stored_files().items() >= old.items()

    seen = []
    said = redraw_thumbnails(empty_experiment, progress=lambda n, total: seen.append((n, total)))
    assert said == "Thumbnails of 4 fields drawn anew."
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    empty_experiment.refresh_from_db()
    assert empty_experiment.display_version == 2
    assert len(stored_files()) == len(old)
    assert not stored_files().keys() & old.keys()
    for image in Image.objects.all():
        assert thumbnail(image, "0", version=2).mean() < 0.5 * dna[image.pk].mean()
        np.testing.assert_array_equal(thumbnail(image, "1", version=2), er[image.pk])


def test_redrawing_tells_of_files_that_are_gone(folder, measure, empty_experiment):
    measure()
    (folder / name_of("B02", 1, "DNA")).unlink()
    said = redraw_thumbnails(empty_experiment)
    assert said == "Thumbnails of 3 fields drawn anew. 1 have files that can no longer be read."


def test_nothing_is_redrawn_before_it_was_measured(folder, empty_experiment):
    with pytest.raises(Conflict, match="measure the experiment first"):
        redraw_thumbnails(empty_experiment)


def test_ranges_before_measuring_need_no_redrawing_and_are_kept(folder, measure, empty_experiment, scientist):
    assert set_display_ranges(empty_experiment, {"DNA": (5, 500)}, by=scientist) is None
    measure()
    assert Channel.objects.get(name="DNA").display_range == (5, 500)
    assert Channel.objects.get(name="ER").display_range is not None
    assert ImageFile.objects.filter(camera_ceiling=4095).count() == 8
