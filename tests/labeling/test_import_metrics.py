"""Numbers from elsewhere become Images and measurements; what is repeated or changed is told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from labeling.models import AuditEvent, Experiment, Image, ImageFile, Measurement, MetricSet, Plate, RefusedFile, Well
from labeling.problems import BadValue, Conflict
from labeling.services.exports import metrics_table
from labeling.services.import_metrics import ImportReport, import_metrics
from labeling.services.ingest import ingest_source
from labeling.services.measuring import measure_experiment, redraw_thumbnails, sampled_ranges
from labeling.services.metric_sets import current_metric_set
from labeling.services.overview import n_to_measure, progress_of
from labeling.services.standing import standings, standings_of
from tests.factories import make_scored_experiment
from tests.labeling.plates_on_disk import name_of, write_plate

COLUMN = "ImageQuality_FocusScore_DNA"


@pytest.fixture
def empty(scientist) -> Experiment:
    return Experiment.objects.create(name="Imported", created_by=scientist)


@pytest.fixture
def take(empty, scientist, tmp_path):
    """Import a table given as text, or rows of well and values for the plate P."""

    def run(content: str | list[tuple], name: str = "Image.csv", **options) -> ImportReport:
        if not isinstance(content, str):
            rows = "\n".join(",".join(map(str, ("P", *row))) for row in content)
            content = f"plate,well,{COLUMN},Count_Cells\n{rows}\n"
        path = tmp_path / name
        path.write_text(content)
        return import_metrics(empty, str(path), by=scientist, **options)

    return run


def numbers(metric_set: MetricSet) -> dict[str, list[float]]:
    rows = metric_set.measurements.select_related("image__well")
    return {row.image.well.name: row.values for row in rows}


TWO = [("B02", 1, 10), ("C12", 2, "")]


def test_a_table_makes_plates_wells_images_channels_and_measurements(take, empty, scientist):
    report = take(TWO)
    assert (report.n_new_images, report.n_added, report.n_metrics) == (2, 2, 2)
    assert report.summary == "Image.csv: 2 metrics of 2 fields taken (imported: CellProfiler), 2 new fields."
    plate = Plate.objects.get()
    assert (plate.barcode, plate.n_rows, plate.n_columns) == ("P", 8, 12)
    assert [image.place for image in Image.objects.with_place().in_plate_order()] == ["B02 · s1", "C12 · s1"]
    assert {(image.state, image.content_hash) for image in Image.objects.all()} == {("ready", "")}
    assert [channel.name for channel in empty.channels.all()] == ["DNA"]
    metric_set = current_metric_set(empty)
    assert (metric_set.version, metric_set.source) == ("imported: CellProfiler", "Image.csv")
    assert metric_set.columns == [COLUMN, "Count_Cells"]
    assert numbers(metric_set)["B02"] == [1, 10]
    assert np.isnan(numbers(metric_set)["C12"][1])
    event = AuditEvent.objects.get(action="metrics.imported")
    assert (event.actor, event.new["added"], event.new["name"]) == (scientist, 2, "Image.csv")


def test_the_same_table_twice_changes_nothing_and_says_so(take):
    take(TWO)
    before = list(Measurement.objects.values_list("id", "measured_at"))
    again = take(TWO)
    assert again.summary == "Image.csv changed nothing: its 2 fields are there already, number for number."
    assert (again.changed_nothing, again.n_known) == (True, 2)
    assert list(Measurement.objects.values_list("id", "measured_at")) == before
    assert (MetricSet.objects.count(), Image.objects.count()) == (1, 2)
    assert AuditEvent.objects.filter(action="metrics.imported").count() == 1


def test_columns_in_another_order_are_the_same_table(take):
    take(TWO)
    again = take(f"well,plate,Count_Cells,{COLUMN}\nB02,P,10,1\nC12,P,,2\n")
    assert again.changed_nothing


def test_a_changed_table_makes_a_new_set_and_leaves_the_old_rows(take, empty):
    take([*TWO, ("D03", 3, 30)])
    old = current_metric_set(empty)
    report = take([("B02", 1.5, 10), ("C12", 2, "")])
    new = current_metric_set(empty)
    assert (report.n_changed, report.n_known, report.n_carried) == (1, 1, 1)
    assert "1 had other numbers before; the earlier ones are kept as a set of their own." in report.summary
    assert (new.revision, old.revision) == (2, 1)
    assert numbers(old)["B02"] == [1, 10]
    assert numbers(new)["B02"] == [1.5, 10]
    assert numbers(new)["D03"] == [3, 30]  # the table does not mention it


def test_a_table_of_another_plate_joins_the_set(take, empty):
    take(TWO)
    report = take(f"plate,well,{COLUMN},Count_Cells\nQ,B02,5,50\n", "Other.csv")
    assert (report.n_added, report.n_changed) == (1, 0)
    assert current_metric_set(empty).measurements.count() == 3
    assert MetricSet.objects.count() == 1


def test_a_table_with_other_columns_keeps_every_field(take, empty):
    take(TWO)
    report = take("plate,well,Count_Cells,Count_Debris\nQ,B02,50,7\n", "Other.csv")
    metric_set = current_metric_set(empty)
    assert metric_set.columns == [COLUMN, "Count_Cells", "Count_Debris"]
    assert (report.n_carried, metric_set.measurements.count()) == (2, 3)
    of_other = metric_set.measurements.get(image__plate__barcode="Q").values
    assert np.array_equal(of_other, [np.nan, 50, 7], equal_nan=True)
    carried = metric_set.measurements.get(image__well__row=2, image__plate__barcode="P").values
    assert np.array_equal(carried, [1, 10, np.nan], equal_nan=True)
    assert "The table before had other columns" in report.summary


def test_an_earlier_table_again_changes_nothing_beside_one_with_other_columns(take, empty):
    take(TWO)
    take("plate,well,Count_Cells,Count_Debris\nQ,B02,50,7\n", "Other.csv")
    assert take(TWO).changed_nothing
    assert take("plate,well,Count_Cells,Count_Debris\nQ,B02,50,7\n", "Other.csv").changed_nothing
    assert empty.metric_sets.count() == 2
    assert take([("D04", 4, 4)]).n_added == 1


def test_fewer_columns_for_a_part_of_the_fields_keep_the_others(take, empty):
    take(TWO)
    report = take("plate,well,Count_Cells\nP,B02,10\n")
    metric_set = current_metric_set(empty)
    assert (report.n_changed, report.n_carried, metric_set.columns) == (1, 1, [COLUMN, "Count_Cells"])
    assert np.array_equal(numbers(metric_set)["B02"], [np.nan, 10], equal_nan=True)


def test_other_columns_for_all_fields_take_the_place_of_the_old(take, empty):
    take(TWO)
    report = take("plate,well,Count_Debris\nP,B02,7\nP,C12,8\n")
    assert current_metric_set(empty).columns == ["Count_Debris"]
    assert (report.n_changed, report.n_carried) == (2, 0)


def test_bad_rows_are_listed_with_the_refused_files_and_stop_no_other(take, empty):
    report = take([("B02", 1, 1), ("", 2, 2), ("B03", 3, "many"), ("B04", 4, 4), ("B05", 5, 5)])
    assert report.n_added == 4
    assert {(one.uri, one.resolved_at) for one in RefusedFile.objects.all()} == {
        ("Image.csv, row 3, well", None),
        ("Image.csv, row 4, Count_Cells", None),
    }
    assert "2 rows or cells could not be taken (see list)." in report.summary


def test_mended_rows_are_no_longer_listed(take, empty):
    take([("B02", 1, 1), ("", 2, 2)])
    take([("B02", 1, 1), ("", 2, 2)])
    assert empty.refused_files.count() == 1
    take([("B02", 1, 1), ("B03", 2, 2)])
    assert not empty.refused_files.filter(resolved_at__isnull=True).exists()


def test_a_field_without_a_number_is_broken_until_a_table_has_one(take, empty):
    report = take([("B02", 1, 1), ("B03", "", "")])
    broken = empty.images.get(well__column=3)
    assert (broken.state, broken.problem) == ("failed", "Image.csv has no number for it.")
    assert (report.n_failed, report.n_added) == (1, 1)
    take([("B02", 1, 1), ("B03", 2, 2)])
    broken.refresh_from_db()
    assert (broken.state, broken.problem) == ("ready", "")


def test_nothing_is_kept_of_an_import_that_breaks_off(take, empty, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("labeling.services.import_metrics.audit.record", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            take(TWO)
    assert not Image.objects.exists()
    assert not MetricSet.objects.exists()
    assert not Well.objects.exists()


def test_a_table_that_cannot_be_read_makes_nothing(take):
    with pytest.raises(BadValue, match="no column names the well"):
        take("plate,n\nP,1\n")
    assert not Image.objects.exists()


def test_a_table_without_a_plate_is_of_the_only_one_there(take, empty):
    take(TWO)
    report = take(f"well,{COLUMN},Count_Cells\nB02,1,10\n")
    assert report.changed_nothing
    assert Plate.objects.count() == 1


def test_a_table_with_thousands_of_columns_is_taken(take, empty):
    objects, features = (
        ("Cells", "Nuclei", "Cytoplasm"),
        ("Granularity", "Texture_Contrast", "RadialDistribution_FracAtD"),
    )
    names = [
        f"Mean_{one}_{what}_{channel}_{n}"
        for one in objects
        for what in features
        for channel in ("DNA", "ER", "RNA", "AGP", "Mito")
        for n in range(60)
    ]
    assert take(f"well,{','.join(names)}\nB02,{','.join(map(str, range(len(names))))}\n").n_metrics == 2700
    assert current_metric_set(empty).columns == names


def test_importing_costs_no_query_for_each_row(take, django_assert_max_num_queries):
    with django_assert_max_num_queries(45):
        take([(f"{row}{column:02d}", column, column) for row in "ABCDEFGH" for column in range(1, 13)])
    assert Measurement.objects.count() == 96


# --- into an experiment that is there -------------------------------------------------------------------


@pytest.fixture
def imaged(scientist, tmp_path) -> Experiment:
    """Four measured fields of two channels from files."""
    experiment = Experiment.objects.create(name="Imaged", created_by=scientist)
    ingest_source(experiment, str(write_plate(tmp_path / "P1")), by=scientist)
    measure_experiment(experiment, by=scientist)
    return experiment


def cluster_table(experiment: Experiment, path: Path, *, plate: str = "P1") -> Path:
    """What `python -m imaging measure` writes of the experiment's fields: here the stored values, plus one."""
    metric_set = current_metric_set(experiment)
    rows = metric_set.measurements.select_related("image__well").order_by("image")
    frame: dict[str, list] = {
        "plate": [plate] * len(rows),
        "well": [row.image.well.name for row in rows],
        "site": [row.image.site for row in rows],
        "timepoint": [1] * len(rows),
        "content_hash": [row.image.content_hash for row in rows],
        "error": [""] * len(rows),
    }
    for n, column in enumerate(metric_set.columns):
        frame[column] = [row.values[n] + 1 for row in rows]
    pl.DataFrame(frame).write_parquet(path)
    return path


def test_a_clusters_parquet_finds_its_images_by_their_pixels(imaged, scientist, tmp_path):
    path = cluster_table(imaged, tmp_path / "m.parquet", plate="called otherwise")
    report = import_metrics(imaged, str(path), by=scientist)
    assert (report.n_new_images, report.n_added) == (0, 4)
    assert imaged.metric_sets.get(source="m.parquet").version == "imported: cellqc"
    assert [channel.name for channel in imaged.channels.all()] == ["DNA", "ER"]


def test_numbers_of_other_pixels_are_refused(imaged, scientist, tmp_path):
    path = cluster_table(imaged, tmp_path / "m.parquet")
    frame = pl.read_parquet(path)
    frame.with_columns(content_hash=pl.lit("f" * 64)).head(1).write_parquet(path)
    report = import_metrics(imaged, str(path), by=scientist)
    assert report.summary.startswith("Nothing of m.parquet could be taken.")
    assert "other pixels here than those the numbers were computed from" in report.problems[0][1]


def test_measured_numbers_are_used_where_they_know_as_many_images(imaged, scientist, tmp_path):
    measured = current_metric_set(imaged)
    import_metrics(imaged, str(cluster_table(imaged, tmp_path / "m.parquet")), by=scientist)
    assert current_metric_set(imaged) == measured
    assert not progress_of([imaged])[imaged.pk].is_imported


def test_imported_numbers_are_used_where_they_know_more_images(imaged, scientist, tmp_path):
    wells = "".join(f"P1,{well},{site},1\n" for well in ("B02", "B03", "B04") for site in (1, 2))
    (tmp_path / "t.csv").write_text(f"plate,well,site,Count_Cells\n{wells}")
    report = import_metrics(imaged, str(tmp_path / "t.csv"), by=scientist)
    assert (report.n_new_images, report.n_added) == (2, 6)
    assert current_metric_set(imaged).source == "t.csv"
    assert progress_of([imaged])[imaged.pk].n_measured == 6


def test_a_table_of_other_channels_adds_none_to_images_that_are_there(imaged, scientist, tmp_path):
    (tmp_path / "t.csv").write_text("plate,well,site,ImageQuality_FocusScore_OrigDNA\nP1,B02,1,1\n")
    import_metrics(imaged, str(tmp_path / "t.csv"), by=scientist)
    assert [channel.name for channel in imaged.channels.all()] == ["DNA", "ER"]


def test_taking_images_in_leaves_fields_of_a_table_whole(take, empty, scientist, tmp_path):
    take(f"plate,well,{COLUMN}\nOther,B02,1\n")
    ingest_source(empty, str(write_plate(tmp_path / "P1", channels=("DNA",))), by=scientist)
    assert not empty.images.broken().exists()


def test_channels_that_only_a_table_named_give_way_to_those_of_the_files(take, empty, scientist, tmp_path):
    take("plate,well,ImageQuality_FocusScore_OrigDNA,ImageQuality_FocusScore_OrigER\nOther,B02,1,1\n")
    assert [channel.name for channel in empty.channels.all()] == ["OrigDNA", "OrigER"]
    ingest_source(empty, str(write_plate(tmp_path / "P1")), by=scientist)
    assert [channel.name for channel in empty.channels.all()] == ["DNA", "ER"]
    assert not empty.images.broken().exists()
    assert "4 fields measured" in measure_experiment(empty, by=scientist)


# --- with its files -------------------------------------------------------------------------------------


def cellprofiler_table(folder: str, *, extra: str = "") -> str:
    """Rows as CellProfiler writes them for the plate of `write_plate`, on another computer."""
    lines = ["FileName_DNA,FileName_ER,PathName_DNA,PathName_ER,ImageQuality_FocusScore_DNA"]
    for n, (well, site) in enumerate((well, site) for well in ("B02", "B03") for site in (1, 2)):
        names = [name_of(well, site, channel) for channel in ("DNA", "ER")]
        lines.append(",".join([*names, folder, folder, str(n)]))
    return "\n".join(lines) + "\n" + extra


def test_files_are_found_by_name_below_a_folder_and_measured(take, empty, scientist, tmp_path):
    write_plate(tmp_path / "copied" / "here" / "P1")
    report = take(cellprofiler_table("/somewhere/else/P1"), images=str(tmp_path / "copied"))
    assert (report.n_files, ImageFile.objects.count()) == (8, 8)
    assert n_to_measure(empty) == 4
    assert "4 fields measured" in measure_experiment(empty, by=scientist)
    assert all(image.has_picture for image in empty.images.all())
    assert not current_metric_set(empty).is_imported  # cellqc's own numbers now


def test_files_are_found_at_their_own_address(take, tmp_path):
    folder = write_plate(tmp_path / "P1")
    assert take(cellprofiler_table(str(folder))).n_files == 8


def test_files_outside_the_open_folders_are_left_alone(take, tmp_path, settings):
    folder = write_plate(tmp_path / "P1")
    settings.SOURCES = [str(tmp_path / "open")]
    assert take(cellprofiler_table(str(folder))).n_files == 0
    with pytest.raises(BadValue, match="is not in a place images may be taken from"):
        take(cellprofiler_table(str(folder)), images=str(folder))


def test_a_field_with_a_missing_or_broken_file_has_none(take, empty, tmp_path):
    folder = write_plate(tmp_path / "P1")
    (folder / name_of("B02", 1, "ER")).unlink()
    (folder / name_of("B02", 2, "ER")).write_bytes(b"")
    report = take(cellprofiler_table("/gone"), images=str(folder))
    assert report.n_files == 4
    assert "Files of 1 fields are here but cannot be read." in report.summary
    assert not empty.images.broken().exists()


def test_of_two_files_of_one_name_the_one_of_that_plate_is_taken(take, tmp_path):
    write_plate(tmp_path / "all" / "P1")
    write_plate(tmp_path / "all" / "P2")
    report = take(cellprofiler_table("/data/P2"), images=str(tmp_path / "all"))
    assert report.n_files == 8
    assert all("/all/P2/" in uri for uri in ImageFile.objects.values_list("uri", flat=True))


def test_finding_the_files_later_adds_them(take, tmp_path):
    table = cellprofiler_table("/gone")
    take(table)
    again = take(table, images=str(write_plate(tmp_path / "P1")))
    assert (again.n_files, again.n_known, again.n_new_images) == (8, 4, 0)
    assert not again.changed_nothing


# --- without files --------------------------------------------------------------------------------------


def test_without_files_nothing_is_due_and_nothing_fails(take, empty, scientist):
    take(TWO)
    assert n_to_measure(empty) == 0
    assert measure_experiment(empty, by=scientist) == "There is no image file to measure."
    with pytest.raises(BadValue, match="has no images yet"):
        sampled_ranges(empty)
    with pytest.raises(Conflict, match="display ranges are not set"):
        redraw_thumbnails(empty)
    progress = progress_of([empty])[empty.pk]
    assert (progress.n_images, progress.n_measured, progress.is_imported) == (2, 2, True)


def test_imported_metrics_are_exported_under_their_names(take, empty):
    take(TWO)
    table = metrics_table(empty)
    assert list(table.columns) == ["plate", "well", "site", COLUMN, "Count_Cells", "timepoint"]
    rows = [tuple(row.values()) for batch in table.rows for row in batch.to_pylist()]
    assert rows == [("P", "B02", 1, 1.0, 10.0, 1), ("P", "C12", 1, 2.0, None, 1)]


def test_what_sets_a_field_apart_is_said_for_known_and_unknown_columns(take, empty):
    take([(f"B{n:02d}", n % 2 + 1, n % 3) for n in range(1, 10)] + [("B10", -50, 900)])
    image = empty.images.get(well__column=10)
    said = {one.title: one for one in standings(image, current_metric_set(empty))}
    assert said["Count_Cells"].words == "Count_Cells higher than any other field of this plate"
    assert said["FocusScore"].channel == "DNA"
    assert said["FocusScore"].words.startswith("DNA ")


def test_what_sets_fields_of_a_page_apart_costs_the_same_for_many(take, empty, django_assert_num_queries):
    take([(f"B{n:02d}", n, n * n) for n in range(1, 13)])
    metric_set = current_metric_set(empty)
    images = list(empty.images.all())
    standings_of(images, metric_set)  # the plate is read once
    for page in (images[:2], images):
        with django_assert_num_queries(4):  # the set, values, counts, channels
            assert len(standings_of(page, MetricSet.objects.select_related("experiment").get())) == len(page)


def test_a_set_of_another_experiment_is_never_used(take, empty, scientist):
    make_scored_experiment(scientist)
    take(TWO)
    assert current_metric_set(empty).experiment == empty
