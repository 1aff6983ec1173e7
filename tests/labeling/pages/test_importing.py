"""Metrics from elsewhere in the pages: sent, followed, reviewed without a picture."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from labeling.models import Experiment, Job, Well
from labeling.services.import_metrics import import_metrics
from labeling.services.measuring import measure_experiment
from tests.factories import make_experiment
from tests.labeling.pages.conftest import FETCH, HTMX, text_of, told
from tests.labeling.plates_on_disk import name_of, write_plate
from training.scoring import score_experiment

ROWS = "".join(f"P1,B{n:02d},{n % 3},{n * n % 7}\n" for n in range(1, 12))
TABLE = f"plate,well,ImageQuality_FocusScore_DNA,Count_Cells\n{ROWS}P1,B12,-40,90\n"


@pytest.fixture
def empty(scientist):
    return make_experiment(scientist, plates=(), channels=())


@pytest.fixture
def imported(empty, scientist, tmp_path):
    """Twelve scored fields without a file."""
    (tmp_path / "t.csv").write_text(TABLE)
    import_metrics(empty, str(tmp_path / "t.csv"), by=scientist)
    score_experiment(empty, by=scientist)
    return empty


def post(client, experiment, data):
    page = f"http://testserver/experiments/{experiment.pk}/"
    return client.post(f"{page}import-metrics/", data, headers={"Referer": page}, follow=True)


def test_a_table_is_sent_followed_and_scored(as_scientist, empty, worker):
    shown = text_of(as_scientist.get(f"/experiments/{empty.pk}/"))
    assert 'id="import-metrics"' in shown
    answer = post(as_scientist, empty, {"file": SimpleUploadedFile("t.csv", TABLE.encode()), "table": "", "plate": ""})
    assert told(answer) == ["The table is being read; the fields are scored when it is in."]
    assert "Import metrics" in text_of(as_scientist.get(f"/experiments/{empty.pk}/progress/", headers=HTMX))
    worker()
    shown = text_of(as_scientist.get(f"/experiments/{empty.pk}/"))
    assert "12 of 12, imported" in shown
    assert "12 scored" in shown
    assert "t.csv: 2 metrics of 12 fields taken" in Job.objects.get(kind="import").message


def test_a_table_is_named_by_its_path(as_scientist, empty, tmp_path):
    (tmp_path / "t.csv").write_text(TABLE)
    post(as_scientist, empty, {"table": f" {tmp_path / 't.csv'} ", "images": str(tmp_path)})
    job = Job.objects.get()
    assert job.parameters == {"table": str(tmp_path / "t.csv"), "images": str(tmp_path)}
    assert job.followed_by == ["measure", "score"]


def test_a_new_experiment_is_made_of_a_table(as_scientist, worker):
    assert 'href="/experiments/new/table/"' in text_of(as_scientist.get("/"))
    file = SimpleUploadedFile("t.csv", TABLE.encode())
    answer = as_scientist.post("/experiments/new/table/", {"name": "Screen 12", "file": file})
    experiment = Experiment.objects.get(name="Screen 12")
    assert answer["Location"] == f"/experiments/{experiment.pk}/"
    worker()
    assert experiment.images.count() == 12


def test_a_new_experiment_of_nothing_is_told_beside_the_field(as_scientist):
    shown = text_of(as_scientist.post("/experiments/new/table/", {"name": "Screen 12"}))
    assert "Choose the table, or give the path or address where it is." in shown
    assert not Experiment.objects.exists()


def test_without_a_table_it_says_what_to_do(as_scientist, empty):
    assert told(post(as_scientist, empty, {})) == ["Choose the table, or give the path or address where it is."]
    assert not Job.objects.exists()


def test_those_who_may_not_add_plates_are_not_offered_it(as_data_scientist, imported):
    assert 'id="import-metrics"' not in text_of(as_data_scientist.get(f"/experiments/{imported.pk}/"))


def test_overview_of_imported_fields_offers_no_measuring(as_scientist, imported):
    response = as_scientist.get(f"/experiments/{imported.pk}/")
    context = response.context
    assert (context["n_images"], context["n_files"], context["n_due"], context["n_broken"]) == (12, 0, 0, 0)
    assert [step.is_done for step in context["steps"]] == [True] * 3 + [False] * 4
    assert "Score again" in text_of(response)
    assert "Display ranges are found when image files are measured." in text_of(response)
    assert "Save and redraw" not in text_of(response)


def test_the_list_counts_imported_fields_as_measured(as_scientist, imported):
    (row,) = as_scientist.get("/").context["rows"]
    assert (row[1].n_measured, row[1].n_images, row[2]) == (12, 12, True)


def test_review_shows_what_sets_a_field_apart_where_there_is_no_picture(as_scientist, imported):
    shown = text_of(as_scientist.get(f"/experiments/{imported.pk}/review/?percent=20"))
    assert shown.count("no pixels here") == shown.count("<figure")
    assert "<span>Count_Cells higher</span>" in shown
    assert "/thumbnail/" not in shown


def test_review_without_pictures_costs_the_same_for_many_images(as_scientist, imported, django_assert_num_queries):
    as_scientist.get(f"/experiments/{imported.pk}/review/?percent=20")
    for percent in (10, 20):  # three bands with tiles
        with django_assert_num_queries(23):
            as_scientist.get(f"/experiments/{imported.pk}/review/?percent={percent}")


def test_a_closer_look_names_the_table_and_the_numbers(as_scientist, imported):
    image = imported.images.get(well__column=12)
    for options in ({}, {"headers": HTMX}):
        shown = text_of(as_scientist.get(f"/images/{image.pk}/", **options))
        assert "Its numbers were computed elsewhere (imported: CellProfiler). No file of it is known." in shown
        assert "Count_Cells higher than any other field of this plate" in shown
        assert "<img" not in shown


def test_a_label_answers_with_the_same_tile(as_scientist, imported):
    image = imported.images.get(well__column=12)
    said = {"image": image.pk, "verdict": "bad"}
    shown = text_of(as_scientist.post(f"/experiments/{imported.pk}/labels/", said, headers=FETCH))
    assert "no pixels here" in shown
    assert "Count_Cells higher" in shown


def test_fields_whose_files_were_found_are_measured_and_shown(as_scientist, empty, worker, tmp_path):
    folder = write_plate(tmp_path / "P1", wells=("B02", "B03", "B04"))
    lines = ["FileName_DNA,FileName_ER,PathName_DNA,ImageQuality_FocusScore_DNA"]
    for n, (well, site) in enumerate((well, site) for well in ("B02", "B03", "B04") for site in (1, 2)):
        lines.append(f"{name_of(well, site, 'DNA')},{name_of(well, site, 'ER')},D:\\P1,{n * n}")
    file = SimpleUploadedFile("Image.csv", "\n".join(lines).encode())
    post(as_scientist, empty, {"file": file, "images": str(folder)})
    worker()
    assert [job.state for job in empty.jobs.all()] == ["succeeded"] * 3
    shown = text_of(as_scientist.get(f"/experiments/{empty.pk}/review/"))
    assert "no pixels here" not in shown
    image = empty.images.first()
    assert as_scientist.get(f"/images/{image.pk}/thumbnail/v1/composite.jpg").status_code == 200


def test_fields_with_files_that_wait_are_offered_for_measuring(as_scientist, empty, scientist, tmp_path):
    folder = write_plate(tmp_path / "P1", wells=("B02",), channels=("DNA",))
    table = tmp_path / "Image.csv"
    names = [name_of("B02", site, "DNA") for site in (1, 2)]
    table.write_text("FileName_DNA,n\n" + "".join(f"{name},1\n" for name in names))
    import_metrics(empty, str(table), by=scientist, images=str(folder))
    assert "Measure 2 fields" in text_of(as_scientist.get(f"/experiments/{empty.pk}/"))
    image = empty.images.first()
    assert "measure the experiment to see them" in text_of(as_scientist.get(f"/images/{image.pk}/"))
    measure_experiment(empty, by=scientist)
    assert as_scientist.get(f"/experiments/{empty.pk}/").context["n_due"] == 0


def test_refused_rows_are_listed_on_the_page_of_files(as_scientist, empty, scientist, tmp_path):
    (tmp_path / "t.csv").write_text(f"{TABLE}P1,,1,1\n")
    import_metrics(empty, str(tmp_path / "t.csv"), by=scientist)
    shown = text_of(as_scientist.get(f"/experiments/{empty.pk}/files/"))
    assert "t.csv, row 14, well" in shown
    assert "the well is missing" in shown


def test_a_plate_map_can_be_for_one_plate(as_scientist, scientist):
    experiment = make_experiment(scientist, plates=("P1", "P2"))
    page = f"/experiments/{experiment.pk}/"
    assert "<option>P2</option>" in text_of(as_scientist.get(page))
    as_scientist.post(
        f"{page}platemap/", {"platemap": SimpleUploadedFile("m.csv", b"well,genotype\nA01,WT\n"), "plate": "P2"}
    )
    wells = Well.objects.filter(plate__experiment=experiment, row=1, column=1)
    assert dict(wells.values_list("plate__barcode", "treatment")) == {"P1": {}, "P2": {"genotype": "WT"}}
