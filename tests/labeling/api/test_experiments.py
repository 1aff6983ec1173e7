import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from labeling.models import AuditEvent, Experiment, Image, Job, Well
from labeling.services.labels import NewLabel, label_images, undo_label
from tests.factories import make_experiment, make_scored_experiment

PLATEMAP = b"well,role,control_class,compound\nA01,control,M0,DMSO\nB02,sample,,taxol\nZ99,sample,,x\n"


def test_an_experiment_tells_its_channels_and_counts(as_scientist, experiment, scientist):
    first, second, third = experiment.images.all()[:3]
    Image.objects.filter(pk=third.pk).update(state="failed", problem="the file is cut off")
    label_images([NewLabel(first.pk, "good"), NewLabel(second.pk, "bad")], by=scientist)
    undo_label(second, by=scientist)
    shown = as_scientist.get(f"/api/v1/experiments/{experiment.pk}/").json()
    assert shown.pop("created_at")
    assert shown == {
        "id": experiment.pk,
        "name": "Plate 0412",
        "channels": ["DNA", "ER"],
        "n_plates": 1,
        "n_images": 12,
        "n_measured": 12,
        "n_broken": 1,
        "n_labelled": 1,
    }


def test_an_empty_experiment_counts_nothing(as_scientist, scientist):
    experiment = Experiment.objects.create(name="Empty", created_by=scientist)
    shown = as_scientist.get(f"/api/v1/experiments/{experiment.pk}/").json()
    assert (shown["n_plates"], shown["n_images"], shown["n_measured"], shown["channels"]) == (0, 0, 0, [])


def test_the_list_takes_as_many_queries_for_many_experiments(as_scientist, scientist, django_assert_num_queries):
    make_scored_experiment(scientist)
    for n in range(5):
        make_experiment(scientist, name=f"Screen {n}", rows=1, columns=1)
    with django_assert_num_queries(9):  # roles, experiments, channels; images, broken, plates, sets, measured, labelled
        page = as_scientist.get("/api/v1/experiments/").json()
    assert [shown["name"] for shown in page["results"]][-1] == "Plate 0412"  # newest first
    assert [shown["n_images"] for shown in page["results"]] == [2] * 5 + [12]
    assert [shown["n_measured"] for shown in page["results"]] == [0] * 5 + [12]


def test_pages_of_the_list_show_each_experiment_once(as_scientist, scientist):
    from tests.labeling.api.conftest import walk

    made = {make_experiment(scientist, name=f"Screen {n}", rows=1, columns=1).pk for n in range(5)}
    rows = walk(as_scientist, "/api/v1/experiments/?page_size=2")
    assert len(rows) == 5
    assert {row["id"] for row in rows} == made


def test_a_new_experiment_is_there_and_in_the_audit(as_scientist, scientist):
    response = as_scientist.post("/api/v1/experiments/", {"name": "Screen 12"}, format="json")
    assert response.status_code == 201
    assert response.json()["n_images"] == 0
    assert Experiment.objects.get(pk=response.json()["id"]).created_by == scientist
    assert AuditEvent.objects.get(action="experiment.created").origin == "API"


@pytest.mark.parametrize("name", ["", "   ", "Plate 0412", "x" * 201])
def test_a_name_that_is_empty_taken_or_too_long_is_refused(as_scientist, experiment, name):
    response = as_scientist.post("/api/v1/experiments/", {"name": name}, format="json")
    assert response.status_code == 400
    assert "name" in response.json()["detail"]


def test_ingest_queues_a_job_with_what_follows(as_scientist, scientist, address, tmp_path):
    response = as_scientist.post(f"{address}/ingest/", {"source": str(tmp_path)}, format="json")
    assert response.status_code == 202
    job = Job.objects.get(pk=response.json()["job"])
    assert (job.kind, job.parameters, job.requested_by) == ("ingest", {"source": str(tmp_path)}, scientist)
    assert job.followed_by == ["measure", "score"]
    assert response.json() == {"job": job.pk, "state": "queued", "url": f"/api/v1/jobs/{job.pk}/"}


def test_ingest_passes_on_layout_plate_and_z(as_scientist, address, tmp_path):
    body = {"source": str(tmp_path), "layout": "opera", "plate": "0413", "z": "max projection"}
    response = as_scientist.post(f"{address}/ingest/", body, format="json")
    assert Job.objects.get(pk=response.json()["job"]).parameters == body


def test_an_unknown_rule_for_z_is_refused_at_once(as_scientist, address, tmp_path):
    response = as_scientist.post(f"{address}/ingest/", {"source": str(tmp_path), "z": "best"}, format="json")
    assert response.status_code == 400
    assert "'best' is no rule for z; there are: middle, first, max projection" in response.json()["detail"]
    assert not Job.objects.exists()


def test_a_folder_that_is_not_open_is_refused_at_once(as_scientist, address, settings, tmp_path):
    settings.SOURCES = [str(tmp_path)]
    response = as_scientist.post(f"{address}/ingest/", {"source": "/etc"}, format="json")
    assert response.status_code == 400
    assert "/etc is not in a place images may be taken from" in response.json()["detail"]
    assert not Job.objects.exists()


def test_the_same_work_is_not_queued_twice(as_scientist, address):
    assert as_scientist.post(f"{address}/measure/").status_code == 202
    response = as_scientist.post(f"{address}/measure/")
    assert (response.status_code, response.json()["status"]) == (409, 409)
    assert Job.objects.count() == 1


def test_measure_is_followed_by_nothing(as_admin, address):
    job = Job.objects.get(pk=as_admin.post(f"{address}/measure/").json()["job"])
    assert (job.kind, job.followed_by) == ("measure", [])


@pytest.mark.parametrize("way", ["form", "body"])
def test_a_plate_map_names_controls(as_scientist, address, experiment, way):
    if way == "form":
        file = SimpleUploadedFile("map.csv", PLATEMAP, "text/csv")
        response = as_scientist.post(f"{address}/platemap/", {"file": file, "reason": "new map"})
    else:
        response = as_scientist.post(f"{address}/platemap/", PLATEMAP, content_type="text/csv")
    assert response.status_code == 200
    assert response.json()["rows"] == 2
    assert len(response.json()["errors"]) == 1
    assert "row 4, well" in response.json()["errors"][0]
    well = Well.objects.get(plate__experiment=experiment, row=1, column=1)
    assert (well.role, well.control_class, well.treatment) == ("control", "M0", {"compound": "DMSO"})
    assert AuditEvent.objects.get(action="platemap.applied").reason == ("new map" if way == "form" else "")


def test_a_plate_map_without_a_file_is_refused(as_scientist, address):
    assert as_scientist.post(f"{address}/platemap/", {}, format="json").status_code == 400
    assert as_scientist.post(f"{address}/platemap/", {"file": "text"}).status_code == 400
    assert as_scientist.post(f"{address}/platemap/", [1], format="json").status_code == 400


def test_a_plate_map_larger_than_the_limit_is_refused(as_scientist, address, monkeypatch):
    monkeypatch.setattr("labeling.api.experiments.LARGEST_PLATEMAP", 10)
    response = as_scientist.post(f"{address}/platemap/", PLATEMAP, content_type="text/csv")
    assert response.status_code == 400
