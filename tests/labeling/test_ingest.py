"""Folders become plates, wells, images and files; what cannot be taken is told, never fatal."""

from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image as Picture

from labeling.models import AuditEvent, Channel, Experiment, Image, ImageFile, Plate, RefusedFile, Well
from labeling.problems import BadValue
from labeling.services.experiments import create_experiment
from labeling.services.ingest import IngestReport, ingest_source
from tests.labeling.plates_on_disk import SIDE_PX, name_of, pixels, write, write_plate

GUID = "EADF08BD-3BFB-44F3-8214-24B191F3D15C"


@pytest.fixture
def empty_experiment(scientist) -> Experiment:
    return create_experiment("Screen 12", by=scientist)


@pytest.fixture
def take(empty_experiment, scientist) -> Callable[..., IngestReport]:
    """Ingest a folder into the experiment."""
    return lambda folder, **options: ingest_source(empty_experiment, str(folder), by=scientist, **options)


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "P1"


def rows() -> dict[str, int]:
    return {model.__name__: model.objects.count() for model in (Channel, Plate, Well, Image, ImageFile, RefusedFile)}


def reasons(report: IngestReport) -> dict[str, str]:
    """Why files were refused, by file name."""
    return {uri.rsplit("/", 1)[-1]: reason for uri, reason in report.refused}


def image_at(well: str, site: int = 1) -> Image:
    (image,) = [image for image in Image.objects.with_place() if (image.well.name, image.site) == (well, site)]
    return image


# What is there


@pytest.mark.parametrize(
    ("names", "plates", "wells", "sites", "channels", "shape"),
    [
        (
            ["Channel1-01-A-01.tif", "Channel2-01-A-01.tif", "Channel1-96-H-12.tif", "Channel2-96-H-12.tif"],
            ["P1"],
            ["A01", "H12"],
            [1],
            ["Channel1", "Channel2"],
            (8, 12),
        ),
        (
            [f"AS_09047_050428030001_O{well}f0{site}d2.TIF" for well in ("01", "24") for site in (0, 1, 2)],
            ["050428030001"],
            ["O01", "O24"],
            [0, 1, 2],
            ["d2"],
            (16, 24),
        ),
        (
            ["B7_01_1_3_DAPI_001.tif", "B7_01_2_3_AGP_001.tif", "C8_02_1_3_DAPI_001.tif", "C8_02_2_3_AGP_001.tif"],
            ["01", "02"],
            ["B07", "C08"],
            [3],
            ["DAPI", "AGP"],
            None,
        ),
        (
            [f"Plate7_C07_s{site}_{channel}{GUID}.tif" for site in (1, 2) for channel in ("w1", "w2", "w3")],
            ["Plate7"],
            ["C07"],
            [1, 2],
            ["w1", "w2", "w3"],
            (6, 8),
        ),
    ],
    ids=["sbs", "arrayscan", "well-plate-channel-site", "imagexpress"],
)
def test_each_layout_gives_its_plates_wells_sites_and_channels(
    take, folder, names, plates, wells, sites, channels, shape
):
    for n, name in enumerate(names):
        write(folder / name, pixels(n))
    report = take(folder)
    assert (report.n_taken, report.refused, report.incomplete) == (len(names), [], [])
    assert sorted(Plate.objects.values_list("barcode", flat=True)) == plates
    assert sorted({well.name for well in Well.objects.all()}) == wells
    assert sorted({image.site for image in Image.objects.all()}) == sites
    assert list(Channel.objects.order_by("position").values_list("name", flat=True)) == channels
    assert Image.objects.count() * len(channels) == len(names) == ImageFile.objects.count()
    assert set(Image.objects.values_list("state", flat=True)) == {Image.State.READY}
    if shape:
        assert Plate.objects.values_list("n_rows", "n_columns").get() == shape


def test_timepoints_are_images_of_their_own_and_the_middle_z_is_taken(take, folder):
    for time in (1, 2):
        for z in (1, 2, 3):
            name = f"Plate7_C07_s1_w1{GUID}.tif"
            write(folder / f"TimePoint_{time}" / f"ZStep_{z}" / name, pixels(10 * time + z))
    report = take(folder)
    assert sorted(Image.objects.values_list("timepoint", flat=True)) == [1, 2]
    assert list(ImageFile.objects.values_list("z", flat=True)) == [2, 2]
    assert report.n_z_left_out == 4
    assert "4 further z slices were left out" in report.summary


def test_a_file_is_written_down_with_what_its_header_says(take, folder):
    path = write(folder / name_of("B02", 1, "DNA"), pixels())
    take(folder)
    file = ImageFile.objects.get()
    assert file.uri == str(path)
    assert (file.width, file.height, file.bit_depth, file.page) == (SIDE_PX, SIDE_PX, 16, 0)
    assert file.size_bytes == path.stat().st_size
    assert file.sha256 == ""


def test_the_plate_can_be_named_and_a_layout_be_ones_own_pattern(take, folder):
    write(folder / "b07-3-gfp.tif", pixels())
    take(folder, layout=r"(?P<well>[A-P][0-9]{2})-(?P<site>[0-9])-(?P<channel>[a-z]+)", plate="0412")
    image = Image.objects.with_place().get()
    assert (image.plate.barcode, image.well.name, image.site) == ("0412", "B07", 3)
    assert Channel.objects.get().name == "gfp"


def test_a_plate_grows_to_the_format_that_holds_its_wells(take, tmp_path):
    take(write_plate(tmp_path / "a", wells=("A01",)))
    assert Plate.objects.values_list("n_rows", "n_columns").get() == (2, 3)
    take(write_plate(tmp_path / "b", wells=("H12",)))
    assert Plate.objects.values_list("n_rows", "n_columns").get() == (8, 12)
    take(write_plate(tmp_path / "c", wells=("A02",)))
    assert Plate.objects.values_list("n_rows", "n_columns").get() == (8, 12)


def test_progress_counts_every_new_file(take, folder):
    seen = []
    take(write_plate(folder), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(n, 8) for n in range(1, 9)]


# Again


def test_ingesting_twice_adds_nothing(take, folder):
    write_plate(folder)
    (folder / name_of("B02", 1, "ER")).write_bytes(b"")
    (folder / "notes about B02.tif").write_text("copied on Monday")
    take(folder)
    before = rows()
    again = take(folder)
    assert rows() == before
    assert (again.n_taken, again.n_new_images, again.n_known) == (0, 0, 7)
    assert set(reasons(again)) == {name_of("B02", 1, "ER"), "notes about B02.tif"}
    assert "7 files were there already" in again.summary


def test_files_that_came_later_are_added(take, folder):
    take(write_plate(folder, wells=("B02",)))
    report = take(write_plate(folder, wells=("B02", "B03", "B04")))
    assert (report.n_taken, report.n_known, report.n_new_images) == (8, 4, 4)
    assert Image.objects.count() == 6


# What cannot be taken


@pytest.fixture
def damaged(folder) -> Path:
    """A plate of 12 fields; six files are broken, each in its own way, and one is named like nothing."""
    write_plate(folder, wells=("B02", "B03", "B04", "B05", "B06", "B07"))
    truncated = folder / name_of("B02", 1, "DNA")
    truncated.write_bytes(truncated.read_bytes()[:-500])
    (folder / name_of("B03", 1, "DNA")).write_bytes(b"")
    (folder / name_of("B04", 1, "DNA")).write_text("Well,Site\nB04,1\n")
    write(folder / name_of("B05", 1, "DNA"), pixels(side_px=SIDE_PX + 8))
    colours = np.random.default_rng(0).integers(0, 255, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    write(folder / name_of("B06", 1, "DNA"), colours, photometric="rgb")
    write(folder / "overview.tif", pixels())
    return folder


EXPECTED = {
    name_of("B02", 1, "DNA"): ("is cut short", "copy it again"),
    name_of("B03", 1, "DNA"): ("is empty (0 bytes)", "copy it again"),
    name_of("B04", 1, "DNA"): ("holds text, not an image", "copy it again"),
    name_of("B05", 1, "DNA"): ("is 56 x 56 pixels, where 19 other files are 48 x 48", "as another experiment"),
    name_of("B06", 1, "DNA"): ("is a colour picture", "export each channel by itself"),
    "overview.tif": ("its name does not follow the layout", "expected one such as B7_01_1_3_DAPI_001.tif"),
}


def test_each_broken_file_is_refused_with_its_reason_and_what_to_do(take, damaged):
    report = take(damaged)
    found = reasons(report)
    assert found.keys() == EXPECTED.keys()
    for name, (wrong, advice) in EXPECTED.items():
        assert wrong in found[name]
        assert advice in found[name]
    stored = RefusedFile.objects.filter(resolved_at__isnull=True).values_list("uri", "reason")
    assert sorted(stored) == sorted(report.refused)
    assert "6 files could not be taken" in report.summary


def test_the_rest_of_a_damaged_folder_is_taken(take, damaged):
    report = take(damaged)
    assert (report.n_taken, report.n_new_images) == (19, 12)
    assert Image.objects.filter(state=Image.State.READY).count() == 7


def test_a_field_that_lacks_a_channel_is_incomplete_and_says_why(take, damaged):
    (damaged / name_of("B07", 2, "ER")).unlink()
    report = take(damaged)
    assert image_at("B03").state == Image.State.INCOMPLETE
    assert image_at("B03").problem == "DNA: the file is empty (0 bytes); copy it again from the microscope"
    assert image_at("B07", 2).problem == "ER: there is no file"
    assert ("P1 B07 · s2", "ER: there is no file") in report.incomplete
    assert len(report.incomplete) == 6
    assert "6 fields lack a channel" in report.summary


def test_a_mended_file_is_taken_and_its_field_is_complete(take, damaged):
    take(damaged)
    name = name_of("B03", 1, "DNA")
    write(damaged / name, pixels(99))
    report = take(damaged)
    assert report.n_taken == 1
    assert name not in reasons(report)
    assert (image_at("B03").state, image_at("B03").problem) == (Image.State.READY, "")
    assert RefusedFile.objects.get(uri__endswith=name).resolved_at is not None
    assert RefusedFile.objects.filter(resolved_at__isnull=True).count() == 5
    assert image_at("B02").state == Image.State.INCOMPLETE


def test_a_file_broken_in_another_way_says_what_is_wrong_now(take, damaged):
    take(damaged)
    name = name_of("B03", 1, "DNA")
    (damaged / name).write_text("not an image either")
    take(damaged)
    assert "holds text" in RefusedFile.objects.get(uri__endswith=name).reason
    assert "holds text" in image_at("B03").problem


def test_a_file_refused_by_its_name_tells_its_field_when_the_layout_was_put_right(take, folder):
    """The wrong layout at first: the refusal has no field. Then the file itself is broken."""
    write_plate(folder, sites=1)
    (folder / name_of("B02", 1, "DNA")).write_bytes(b"")
    write(folder / "Channel1-01-A-01.tif", pixels())
    take(folder, layout="sbs")
    take(folder, layout="well-plate-channel-site")
    assert "is empty" in image_at("B02").problem


def test_a_file_that_replaces_a_broken_one_resolves_the_refusal(take, tmp_path):
    first = write_plate(tmp_path / "first")
    (first / name_of("B02", 1, "DNA")).write_bytes(b"")
    take(first)
    take(write(tmp_path / "second" / name_of("B02", 1, "DNA"), pixels(0)).parent)
    assert not RefusedFile.objects.filter(resolved_at__isnull=True).exists()
    assert image_at("B02").state == Image.State.READY


def test_a_second_file_for_the_same_place_is_refused(take, tmp_path):
    take(write_plate(tmp_path / "first"))
    before = set(ImageFile.objects.values_list("uri", flat=True))
    second = write_plate(tmp_path / "second", wells=("B02",), sites=1, channels=("DNA",))
    report = take(second)
    (reason,) = reasons(report).values()
    expected = tmp_path / "first" / name_of("B02", 1, "DNA")
    assert reason == f"B02 · s1 DNA of plate P1 is there already, from {expected}"
    assert set(ImageFile.objects.values_list("uri", flat=True)) == before
    assert image_at("B02").state == Image.State.READY


def test_two_files_for_one_place_in_a_folder_are_told_apart(take, folder):
    write_plate(folder)
    write(folder / "copy" / name_of("B02", 1, "DNA"), pixels(0))
    report = take(folder)
    assert report.n_taken == 8
    ((_, reason),) = report.refused
    assert "is already the image of plate P1, well B02, site 1, channel DNA; remove one of the two" in reason


def test_a_channel_that_comes_later_makes_earlier_fields_incomplete(take, tmp_path):
    take(write_plate(tmp_path / "a", wells=("B02",), channels=("DNA",)))
    report = take(write_plate(tmp_path / "b", wells=("B03",), channels=("DNA", "ER")))
    assert image_at("B02").problem == "ER: there is no file"
    assert image_at("B03").state == Image.State.READY
    assert [name for name, _ in report.incomplete] == ["P1 B02 · s1", "P1 B02 · s2"]
    take(write_plate(tmp_path / "c", wells=("B02",), channels=("ER",)))
    assert set(Image.objects.values_list("state", "problem")) == {(Image.State.READY, "")}


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "is empty"),
        ({"notes.txt": b"Monday"}, "holds no image files"),
        ({"overview.tif": b"II*\x00"}, "No known layout fits"),
        ({name_of("B02", 1, "DNA"): b""}, "None of the 1 images"),
        ({name_of("B02", 1, "DNA"): b"", name_of("B03", 1, "DNA"): b"text"}, "None of the 2 images"),
    ],
    ids=["nothing", "no image", "no layout", "an empty file", "only broken files"],
)
def test_nothing_is_stored_when_nothing_can_be_read(take, folder, files, sentence):
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    before, n_events = rows(), AuditEvent.objects.count()
    with pytest.raises(BadValue, match=sentence):
        take(folder)
    assert rows() == before
    assert AuditEvent.objects.count() == n_events


def test_only_broken_files_are_told_with_the_first_reason(take, folder):
    folder.mkdir()
    (folder / name_of("B02", 1, "DNA")).touch()
    with pytest.raises(BadValue, match=r"The first, B02_P1_1_1_DNA_001.tif, is empty \(0 bytes\); copy it again"):
        take(folder)


def test_a_missing_folder_and_an_unknown_layout_are_told(take, folder):
    with pytest.raises(BadValue, match="There is no folder"):
        take(folder)
    write_plate(folder)
    with pytest.raises(BadValue, match="There is no layout 'sbx'"):
        take(folder, layout="sbx")
    with pytest.raises(BadValue, match="Name the folder"):
        take("  ")


# Where images may come from


def test_images_come_only_from_folders_the_admin_opened(take, tmp_path, settings):
    settings.SOURCES = [str(tmp_path / "plates")]
    write_plate(tmp_path / "plates" / "P1")
    write_plate(tmp_path / "plates-of-others" / "P2", plate="P2")
    for closed in ("plates-of-others/P2", "plates/../plates-of-others/P2", "."):
        with pytest.raises(BadValue, match="not in a place images may be taken from"):
            take(tmp_path / closed)
    (tmp_path / "plates" / "link").symlink_to(tmp_path / "plates-of-others")
    with pytest.raises(BadValue, match="not in a place images may be taken from"):
        take(tmp_path / "plates" / "link")
    with pytest.raises(BadValue, match="not in a place images may be taken from"):
        take("memory://plates")
    assert take(tmp_path / "plates" / "P1").n_taken == 8
    assert take(f"file://{tmp_path}/plates/P1").n_known == 8


@pytest.mark.parametrize(
    "way", ["file://{closed}", "memory://open/../closed", "memory://opener", "simplecache::file://{closed}"]
)
def test_an_address_is_no_way_around_the_opened_places(take, tmp_path, settings, way):
    settings.SOURCES = [str(tmp_path / "plates"), "memory://open"]
    write_plate(tmp_path / "closed")
    with pytest.raises(BadValue, match="not in a place images may be taken from"):
        take(way.format(closed=tmp_path / "closed"))


# What the audit says


def test_the_audit_tells_who_took_what(take, damaged, scientist, empty_experiment):
    take(damaged)
    event = AuditEvent.objects.get(action="experiment.ingested")
    assert (event.actor, event.experiment) == (scientist, empty_experiment)
    assert event.new == {
        "source": str(damaged),
        "layout": "well-plate-channel-site",
        "z": "middle",
        "files": 19,
        "known": 0,
        "moved": 0,
        "fields": 12,
        "refused": 6,
        "missing": 0,
    }


def test_a_bucket_is_a_source_like_a_folder(take, folder, settings):
    write_plate(folder)
    bucket = fsspec.filesystem("memory")
    bucket.put(str(folder), "/ingest/P1", recursive=True)
    report = take("memory://ingest/P1")
    assert (report.n_taken, report.refused) == (8, [])
    assert all(uri.startswith("memory://") for uri in ImageFile.objects.values_list("uri", flat=True))
    settings.SOURCES = ["memory://ingest"]
    assert take("memory://ingest/P1").n_known == 8


def test_png_and_tiff_are_taken_alike(take, folder):
    write(folder / name_of("B02", 1, "DNA"), pixels())
    Picture.fromarray(pixels(1)).save(folder / name_of("B03", 1, "DNA").replace(".tif", ".png"))
    assert take(folder).n_taken == 2
