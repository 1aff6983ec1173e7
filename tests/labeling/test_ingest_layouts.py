"""Every kind of export through the database: wells, sites, channels, z and what is missing."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile

from labeling.models import Channel, Experiment, Image, ImageFile, Plate, RefusedFile, Well
from labeling.problems import BadValue
from labeling.services import ingest as ingesting
from labeling.services.experiments import create_experiment
from labeling.services.ingest import ingest_source
from labeling.services.ingest_look import look_at_files
from labeling.services.measuring import measure_experiment
from labeling.services.sources import read_source
from tests.imaging.test_layouts_index import error, measurement, shot, yokogawa_name
from tests.labeling.plates_on_disk import name_of, pixels, write, write_plate


@pytest.fixture
def empty(scientist) -> Experiment:
    return create_experiment("Screen 12", by=scientist)


@pytest.fixture
def take(empty, scientist):
    return lambda folder, **options: ingest_source(empty, str(folder), by=scientist, **options)


def problems() -> dict[tuple[str, int], str]:
    """Why Images are incomplete, by well and site."""
    found = Image.objects.filter(state=Image.State.INCOMPLETE).with_place()
    return {(image.well.name, image.site): image.problem for image in found}


def open_refusals() -> dict[str, str]:
    found = RefusedFile.objects.filter(resolved_at__isnull=True)
    return {one.uri.rsplit("/", 1)[-1]: one.reason for one in found}


# Real exports


@pytest.mark.parametrize(
    ("folder", "plates", "wells", "sites", "times", "channels", "zs", "n_files", "n_left_out"),
    [
        (
            *("imagexpress-exported-9987", ["9987"], ["B02", "B03"], [1, 2], [1]),
            *(["DAPI", "FITC", "Texas Red"], {None}, 12, 24),
        ),
        (
            *("imagexpress-1well-3ch-2site-zmix-t", ["1well-3C-2S-Zmix-T"], ["C07"], [1, 2], [1, 2]),
            *(["w1", "w2", "w3"], {None}, 12, 0),
        ),
        (
            *("cv8000", ["CV8000-Minimal-DataSet-2C-3W-4S-FP2-stack"], ["D08", "E03", "F08"], [1, 2, 3, 4], [1]),
            *(["BP445/45", "BP525/50"], {2}, 24, 72),
        ),
        ("operetta-phenix", ["Test_Sample_BALL"], ["C03"], [1, 2], [1], ["Fluorescein (FITC)"], {None}, 2, 0),
    ],
)
def test_a_real_export_is_taken_whole(
    shared, take, folder, plates, wells, sites, times, channels, zs, n_files, n_left_out
):
    report = take(shared / "data" / "layouts" / folder)
    assert (report.n_taken, report.n_z_left_out) == (n_files, n_left_out)
    assert (report.refused, report.missing, report.incomplete) == ([], [], [])
    assert list(Channel.objects.order_by("position").values_list("name", flat=True)) == channels
    assert set(ImageFile.objects.values_list("z", flat=True)) == zs
    assert Image.objects.count() * len(channels) == n_files
    assert sorted(set(Image.objects.values_list("timepoint", flat=True))) == times
    assert list(Plate.objects.values_list("barcode", flat=True)) == plates
    assert sorted(well.name for well in Well.objects.all()) == wells
    assert sorted(set(Image.objects.values_list("site", flat=True))) == sites
    again = take(shared / "data" / "layouts" / folder)
    assert (again.n_known, again.n_taken, again.refused) == (n_files, 0, [])


def test_a_real_stack_is_taken_by_the_rule_that_is_asked_for(shared, take):
    report = take(shared / "data" / "layouts" / "cv8000", z="max projection")
    assert (report.n_taken, report.n_z_left_out) == (24, 0)
    assert all(uri.startswith("max:") for uri in ImageFile.objects.values_list("uri", flat=True))
    again = take(shared / "data" / "layouts" / "cv8000", z="max projection")
    assert (again.n_known, again.n_taken) == (24, 0)


def test_the_real_loaddata_table_whose_files_are_elsewhere_stores_nothing_and_says_why(shared, take):
    with pytest.raises(BadValue, match=r"None of the 5,760 images .* is named in the LoadData table but is not there"):
        take(shared / "data" / "layouts" / "loaddata", layout="loaddata")
    assert not Image.objects.exists()


def test_the_real_loaddata_table_with_some_of_its_files_takes_these_and_knows_the_rest(shared, take, tmp_path):
    table = shared / "data" / "layouts" / "loaddata" / "wave3_loaddata_without_qc.csv"
    with table.open(newline="") as stream:
        header, first, *others = csv.reader(stream)
    names = [number for number, column in enumerate(header) if column.startswith("FileName_")]
    of_field = slice(len("r01c13f01"))
    second = next(row for row in others if row[names[0]][of_field] != first[names[0]][of_field])
    with (tmp_path / "load_data.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([header, first, second])
    for n, number in enumerate(names):
        write(tmp_path / first[number], pixels(n))
    write(tmp_path / second[names[0]], pixels(9))
    report = take(tmp_path, layout="loaddata")
    assert (report.n_taken, len(report.missing), len(report.incomplete)) == (len(names) + 1, len(names) - 1, 1)
    assert Channel.objects.count() == len(names)
    (problem,) = problems().values()
    assert problem.count("is named in the LoadData table but is not there") == len(names) - 1


# What the microscope did not take


@pytest.fixture
def yokogawa(tmp_path) -> Path:
    """A measurement written for this test (no real error record is at hand): field 2 of C14 failed to focus."""
    other = {"row": 1, "column": 1}
    shots = [shot(f, c, **other) for f in (1, 2) for c in (1, 2)] + [shot(1, c) for c in (1, 2)]
    names = [yokogawa_name(f, c, **other) for f in (1, 2) for c in (1, 2)] + [yokogawa_name(1, c) for c in (1, 2)]
    failed = error("AF Error at C14 No. 2 (P)", X="200.0", Y="25.3")
    for name, text in measurement(*shots, failed, images=[]).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    for seed, name in enumerate(names):
        write(tmp_path / "m" / name, pixels(seed))
    return tmp_path


AF_ERROR = "the file was not taken by the microscope (AF Error at C14 No. 2 (P))"


def test_a_field_the_microscope_failed_to_take_is_incomplete_with_its_reason(take, yokogawa, scientist, empty):
    report = take(yokogawa)
    assert (report.n_taken, report.n_new_images, report.refused) == (6, 4, [])
    assert {reason for _, reason in report.missing} == {AF_ERROR.removeprefix("the file ")}
    assert problems() == {("C14", 2): f"Hoechst: {AF_ERROR}; BP525/50: {AF_ERROR}"}
    assert "2 planes were not taken by the microscope or are not there" in report.summary
    refused = RefusedFile.objects.get(channel__name="Hoechst")
    assert (refused.image.well.name, refused.image.site) == ("C14", 2)
    measure_experiment(empty, by=scientist)
    assert Image.objects.filter(state=Image.State.READY).exclude(content_hash="").count() == 3


def test_ingesting_again_says_the_same_of_it(take, yokogawa):
    take(yokogawa)
    before = sorted(RefusedFile.objects.values_list("uri", "reason", "resolved_at"))
    again = take(yokogawa)
    assert (again.n_known, len(again.missing), again.n_new_images) == (6, 2, 0)
    assert sorted(RefusedFile.objects.values_list("uri", "reason", "resolved_at")) == before


def test_a_field_that_was_taken_later_is_complete(take, yokogawa):
    take(yokogawa)
    mlf = yokogawa / "m" / "MeasurementData.mlf"
    mlf.write_text(
        mlf.read_text().replace("</bts:MeasurementData>", shot(2, 1) + shot(2, 2) + "</bts:MeasurementData>")
    )
    for channel in (1, 2):
        write(yokogawa / "m" / yokogawa_name(2, channel), pixels(90 + channel))
    report = take(yokogawa)
    assert (report.n_taken, report.missing, problems(), open_refusals()) == (2, [], {}, {})


def test_a_listed_file_that_is_not_there_leaves_its_field_incomplete(take, yokogawa):
    (yokogawa / "m" / yokogawa_name(1, 2)).unlink()
    take(yokogawa)
    reason = "the file is named in MeasurementData.mlf but is not in the folder"
    assert problems()[("C14", 1)] == f"BP525/50: {reason}"


def test_the_page_lists_what_is_missing_with_its_field(take, yokogawa, empty, client, scientist):
    take(yokogawa)
    client.force_login(scientist)
    page = client.get(f"/experiments/{empty.pk}/files/").content.decode()
    assert "was not taken by the microscope (AF Error at C14 No. 2 (P))" in page
    assert "C14 · s2" in page


# Tables that name files elsewhere


def table_of(folder: Path, *paths: Path) -> Path:
    """A LoadData table that names one site of B02 for each path."""
    folder.mkdir(exist_ok=True)
    rows = [f"{path.name},{path.parent},P1,B02,{site}" for site, path in enumerate(paths, start=1)]
    header = "FileName_DNA,PathName_DNA,Metadata_Plate,Metadata_Well,Metadata_Site"
    (folder / "load_data.csv").write_text("\n".join([header, *rows]))
    return folder


@pytest.fixture
def elsewhere(tmp_path) -> tuple[Path, Path, Path]:
    """A table, a file of an open place, and one of a closed place."""
    opened, closed = (write(tmp_path / place / "x.tif", pixels(n)) for n, place in enumerate(("open", "closed")))
    return table_of(tmp_path / "tables", opened, closed), opened, closed


def test_a_table_may_name_files_anywhere_when_every_place_is_open(take, elsewhere):
    table, opened, closed = elsewhere
    assert take(table).n_taken == 2
    assert set(ImageFile.objects.values_list("uri", flat=True)) == {str(opened), str(closed)}


def test_a_table_is_no_way_around_the_opened_places(take, elsewhere, settings, tmp_path):
    table, opened, closed = elsewhere
    settings.SOURCES = [str(table), str(opened.parent)]
    report = take(table)
    assert set(ImageFile.objects.values_list("uri", flat=True)) == {str(opened)}
    assert [uri for uri, _ in report.missing] == [str(closed)]
    assert "neither in the folder nor in a place that may be read" in problems()[("B02", 2)]
    (opened.parent / "link.tif").symlink_to(closed)
    report = take(table_of(tmp_path / "tables", opened, opened.parent / "link.tif"))
    assert [uri for uri, _ in report.missing] == [str(opened.parent / "link.tif")]


def test_each_page_of_a_file_that_is_gone_is_told_at_its_own_field(take, tmp_path):
    write(tmp_path / "here.tif", pixels())
    header = "FileName_DNA,Frame_DNA,FileName_ER,Frame_ER,Metadata_Plate,Metadata_Well,Metadata_Site"
    rows = ["here.tif,0,gone.tif,0,P1,B02,1", ",,gone.tif,1,P1,B03,1"]
    (tmp_path / "load_data.csv").write_text("\n".join([header, *rows]))
    take(tmp_path)
    reason = "ER: the file is named in the LoadData table but is not in the folder"
    assert {problem.split("; ")[-1] for problem in problems().values()} == {reason}
    assert RefusedFile.objects.count() == 2


# Refusals that are over


def test_a_refusal_ends_when_its_file_is_deleted(take, tmp_path):
    write_plate(tmp_path)
    (tmp_path / name_of("B02", 1, "ER")).write_bytes(b"")
    write(tmp_path / "overview.tif", pixels())
    take(tmp_path)
    assert len(open_refusals()) == 2
    (tmp_path / name_of("B02", 1, "ER")).unlink()
    (tmp_path / "overview.tif").unlink()
    report = take(tmp_path)
    assert (open_refusals(), report.n_resolved) == ({}, 2)
    assert problems() == {("B02", 1): "ER: there is no file"}
    assert "2 files refused earlier are no longer there or no longer needed" in report.summary


def test_refusals_of_other_folders_and_of_measuring_stay(take, empty, tmp_path, scientist):
    first, second = (write_plate(tmp_path / name, plate=name) for name in ("P1", "P10"))
    (second / name_of("B02", 1, "ER", plate="P10")).write_bytes(b"")
    broken = first / name_of("B03", 1, "DNA", plate="P1")
    write(broken, pixels(1), compression="zlib")
    take(first)
    take(second)
    damaged = bytearray(broken.read_bytes())
    damaged[-200:] = bytes(200)
    broken.write_bytes(damaged)
    measure_experiment(empty, by=scientist)
    before = open_refusals()
    assert len(before) == 2
    take(first)
    assert open_refusals() == before


def test_two_ingests_of_one_folder_at_once_take_each_file_once(empty, tmp_path, scientist):
    """Both looked before either wrote; the second then finds everything there, by the same choice."""
    folder = str(write_plate(tmp_path))
    reading = read_source(folder)
    looked = [look_at_files(empty, reading, folder, None) for _ in range(2)]
    first, second = (ingesting._store(empty, reading, one, folder, by=scientist) for one in looked)
    assert (first.n_taken, second.n_taken) == (8, 0)
    assert (second.n_known, second.n_other_z, second.refused) == (8, 0, [])


# z


def stacks(folder: Path, *wells: str, n_z: int = 3) -> Path:
    """Files of several pages, each a z stack."""
    for n, well in enumerate(wells):
        folder.mkdir(exist_ok=True)
        tifffile.imwrite(
            folder / name_of(well, 1, "DNA"),
            np.stack([pixels(10 * n + z) for z in range(n_z)]),
            photometric="minisblack",
        )
    return folder


@pytest.mark.parametrize(
    ("z", "found"),
    [(None, (1, 2)), ("middle", (1, 2)), ("first", (0, 1)), ("3", (2, 3)), ("max projection", (0, None))],
)
def test_the_pages_of_a_file_are_z_planes_and_the_rule_takes_one(take, tmp_path, z, found):
    folder = stacks(tmp_path / "P1", "B02", "B03")
    assert take(folder, z=z).n_taken == 2
    assert set(ImageFile.objects.values_list("page", "z")) == {found}
    again = take(folder, z=z)
    assert (again.n_known, again.n_taken, again.n_other_z, again.refused) == (2, 0, 0, [])
    assert ImageFile.objects.count() == 2


@pytest.mark.parametrize(("first", "then"), [("middle", "first"), ("first", "max projection"), ("max projection", "3")])
@pytest.mark.parametrize("is_one_file", [True, False], ids=["pages", "files"])
def test_a_field_taken_by_another_rule_stays_and_the_person_is_told(take, tmp_path, first, then, is_one_file):
    folder = tmp_path / "P1"
    if is_one_file:
        stacks(folder, "B02")
    else:
        for z in (1, 2, 3):
            write(folder / f"P1_B02_s1_z{z}_DNA.tif", pixels(z))
    take(folder, z=first)
    before = list(ImageFile.objects.values_list("uri", "page", "z"))
    report = take(folder, z=then)
    assert (report.n_other_z, report.n_taken, report.refused) == (1, 0, [])
    assert "1 planes are there already by another choice of z and stay as they are" in report.summary
    assert list(ImageFile.objects.values_list("uri", "page", "z")) == before
    assert not RefusedFile.objects.exists()


def test_a_measured_projection_can_move_to_another_folder(take, empty, tmp_path, scientist):
    folder = stacks(tmp_path / "P1", "B02")
    take(folder, z="max projection")
    measure_experiment(empty, by=scientist)
    folder.rename(tmp_path / "moved")
    report = take(tmp_path / "moved", z="max projection")
    assert (report.n_moved, report.n_taken, report.refused) == (1, 0, [])
    assert ImageFile.objects.get().uri.startswith(f"max:{tmp_path}/moved/")


def test_a_stack_without_the_z_that_is_asked_for_leaves_its_field_incomplete(take, tmp_path):
    for well, n_z in (("B02", 3), ("B03", 2)):
        for z in range(1, n_z + 1):
            write(tmp_path / f"P1_{well}_s1_z{z}_DNA.tif", pixels(z))
    take(tmp_path, z="3")
    assert problems() == {("B03", 1): "DNA: the file of z 3 is not there; the stack has z 1, 2"}
    report = take(tmp_path, z="first")
    assert (report.n_taken, report.n_other_z, problems(), open_refusals()) == (1, 1, {}, {})


def test_pages_that_are_channels_are_refused_not_guessed(take, tmp_path):
    write_plate(tmp_path, channels=("DNA",))
    planes = [pixels(1), pixels(2)]
    tifffile.imwrite(tmp_path / name_of("C07", 1, "DNA"), np.stack(planes), imagej=True, metadata={"axes": "CYX"})
    take(tmp_path)
    assert "holds 2 channels in one file" in problems()[("C07", 1)]
