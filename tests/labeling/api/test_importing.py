"""A table of metrics over REST: by its address, or sent."""

import io

import pytest
from django.core.files.storage import default_storage

from labeling.models import Job, Score, Well
from tests.factories import make_experiment

ROWS = "".join(f"P1,B{n:02d},{n},{n * n % 7}\n" for n in range(1, 13))
TABLE = f"plate,well,Count_Cells,Count_Debris\n{ROWS}P1,?,1,1\n"


@pytest.fixture
def path(tmp_path):
    (tmp_path / "t.csv").write_text(TABLE)
    return tmp_path / "t.csv"


@pytest.fixture
def empty(scientist):
    return make_experiment(scientist, plates=())


@pytest.fixture
def post(as_scientist, empty):
    def call(body, how="json"):
        return as_scientist.post(f"/api/v1/experiments/{empty.pk}/import-metrics/", body, format=how)

    return call


def sent(content=TABLE, name="my table.csv"):
    file = io.BytesIO(content.encode())
    file.name = name
    return file


def test_a_table_by_its_address_is_taken_and_scored(post, empty, path, as_scientist, worker):
    answer = post({"table": str(path)})
    assert answer.status_code == 202
    worker()
    job = as_scientist.get(f"/api/v1/jobs/{answer.json()['job']}/").json()
    assert (job["kind"], job["state"], job["done"], job["total"]) == ("import", "succeeded", 12, 12)
    assert "1 rows or cells could not be taken (see list). t.csv, row 14, well: '?' is not a well" in job["message"]
    assert Score.objects.filter(run__experiment=empty).count() == 12


def test_a_table_that_is_sent_is_kept_and_taken(post, empty, worker):
    assert post({"file": sent(), "plate": "P1"}, "multipart").status_code == 202
    job = Job.objects.get(kind="import")
    assert job.parameters["plate"] == "P1"
    assert default_storage.open(job.parameters["upload"]).read().decode() == TABLE
    worker()
    assert empty.metric_sets.get().source == "my_table.csv"


def test_the_same_bytes_are_kept_once(post, worker):
    post({"file": sent()}, "multipart")
    worker()
    post({"file": sent()}, "multipart")
    worker()
    first, second = Job.objects.filter(kind="import").order_by("id")
    assert first.parameters == second.parameters
    assert second.message.startswith("my_table.csv changed nothing")


def test_images_of_a_table_have_no_thumbnail_and_their_numbers(post, empty, path, as_scientist, worker):
    post({"table": str(path)})
    worker()
    images = as_scientist.get(f"/api/v1/experiments/{empty.pk}/images/").json()["results"]
    assert {image["thumbnail"] for image in images} == {None}
    shown = as_scientist.get(f"/api/v1/experiments/{empty.pk}/").json()
    assert (shown["n_images"], shown["n_measured"], shown["n_broken"]) == (12, 12, 0)
    lines = b"".join(as_scientist.get(f"/api/v1/experiments/{empty.pk}/metrics/?format=csv").streaming_content)
    assert lines.decode().splitlines()[:2] == [
        "plate,well,site,Count_Cells,Count_Debris,timepoint",
        "P1,B01,1,1.0,1.0,1",
    ]


@pytest.mark.parametrize(("body", "told"), [({}, "table"), ({"table": " "}, "table"), ({"table": None}, "table")])
def test_a_call_without_a_table_is_told_so(post, body, told):
    answer = post(body)
    assert answer.status_code == 400
    assert told in answer.json()["detail"]


def test_a_place_that_is_not_open_is_refused(post, path, settings, tmp_path):
    settings.SOURCES = [str(tmp_path / "open")]
    assert post({"table": str(path)}).status_code == 400
    assert post({"file": sent(), "images": str(tmp_path)}, "multipart").status_code == 400
    assert not Job.objects.exists()


def test_a_plate_map_can_be_for_one_plate(as_scientist, scientist):
    experiment = make_experiment(scientist, plates=("P1", "P2"))
    file = sent("well,genotype\nA01,WT\n", "map.csv")
    address = f"/api/v1/experiments/{experiment.pk}/platemap/"
    answer = as_scientist.post(address, {"file": file, "plate": "P2"}, format="multipart")
    assert answer.json() == {"rows": 1, "errors": []}
    wells = Well.objects.filter(plate__experiment=experiment, row=1, column=1)
    assert dict(wells.values_list("plate__barcode", "treatment")) == {"P1": {}, "P2": {"genotype": "WT"}}
    file = sent("well,genotype\nA01,WT\n", "map.csv")
    answer = as_scientist.post(address, {"file": file, "plate": "P9"}, format="multipart")
    assert answer.json()["errors"] == [f"Plate map: there is no plate P9 in {experiment.name}."]
