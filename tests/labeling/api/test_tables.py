import csv
import io

import pyarrow.parquet
import pytest

from labeling.models import Image, Measurement
from labeling.services.labels import NewLabel, label_images
from labeling.services.metric_sets import current_metric_set
from tests.factories import make_experiment, make_scored_experiment, save_cutoff_at
from tests.labeling.api.test_images import scores_by_image


def read_csv(client, address):
    response = client.get(address)
    assert response.status_code == 200, response.json()
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode())))


def read_parquet(client, address):
    response = client.get(address)
    assert response.status_code == 200, response.json()
    return pyarrow.parquet.read_table(io.BytesIO(b"".join(response.streaming_content)))


@pytest.fixture
def measured(scientist):
    """Two plates; one value is undefined and one image has no metrics."""
    experiment = make_scored_experiment(scientist, plates=("P2", "P1"))
    metric_set = current_metric_set(experiment)
    first = Measurement.objects.filter(metric_set=metric_set).order_by("image_id").first()
    first.values[0], first.values[1] = float("nan"), float("inf")
    first.save()
    last = experiment.images.last()
    Measurement.objects.filter(metric_set=metric_set, image=last).delete()
    Image.objects.filter(pk=last.pk).update(state="failed", problem="cut off")
    return experiment


def test_metrics_are_one_row_an_image_in_plate_order(as_data_scientist, measured):
    rows = read_csv(as_data_scientist, f"/api/v1/experiments/{measured.pk}/metrics/?format=csv")
    columns = current_metric_set(measured).columns
    assert list(rows[0]) == ["plate", "well", "site", *columns, "timepoint"]
    assert len(rows) == 24
    places = [(row["plate"], row["well"], row["site"]) for row in rows]
    assert places == sorted(places)
    assert places[0] == ("P1", "A01", "1")


def test_missing_metrics_are_empty_never_nan(as_data_scientist, measured):
    rows = read_csv(as_data_scientist, f"/api/v1/experiments/{measured.pk}/metrics/")
    columns = current_metric_set(measured).columns
    first = next(row for row in rows if (row["plate"], row["well"], row["site"]) == ("P2", "A01", "1"))
    last = next(row for row in rows if (row["plate"], row["well"], row["site"]) == ("P1", "B03", "2"))
    assert (first[columns[0]], first[columns[1]]) == ("", "")
    assert float(first[columns[2]])
    assert {last[column] for column in columns} == {""}


def test_metrics_in_parquet_are_the_same_with_types(as_data_scientist, measured):
    rows = read_csv(as_data_scientist, f"/api/v1/experiments/{measured.pk}/metrics/?format=csv")
    table = read_parquet(as_data_scientist, f"/api/v1/experiments/{measured.pk}/metrics/?format=parquet")
    assert table.column_names == list(rows[0])
    assert str(table.schema.field("site").type) == "int64"
    column = current_metric_set(measured).columns[0]
    assert str(table.schema.field(column).type) == "float"
    assert table.column(column).null_count == 2
    for value, row in zip(table.column(column).to_pylist(), rows, strict=True):
        assert value == (pytest.approx(float(row[column]), rel=1e-6) if row[column] else None)


def test_scores_tell_verdict_side_and_reason(as_data_scientist, address, experiment, scientist):
    save_cutoff_at(experiment, -0.55, by=scientist)
    label_images([NewLabel(experiment.images.first().pk, "bad", ("blur",))], by=scientist)
    rows = read_csv(as_data_scientist, f"{address}/scores/?format=csv")
    assert list(rows[0]) == [
        "plate",
        "well",
        "site",
        "image",
        "isolation_score",
        "blended_score",
        "uncertainty",
        "verdict",
        "flagged",
        "reason",
        "timepoint",
    ]
    scores = scores_by_image(experiment)
    assert {int(row["image"]) for row in rows} == set(scores)
    for row in rows:
        score = scores[int(row["image"])]
        assert float(row["isolation_score"]) == pytest.approx(score, rel=1e-8)
        assert row["flagged"] == str(int(score < -0.55))
        assert (row["blended_score"], row["uncertainty"]) == ("", "")
    assert (rows[0]["verdict"], rows[0]["reason"]) == ("bad", "labelled bad (blur) by Grace Plate")
    assert {row["verdict"] for row in rows[1:]} == {""}


def test_scores_in_parquet_have_types_and_nulls(as_data_scientist, address, experiment):
    table = read_parquet(as_data_scientist, f"{address}/scores/?format=parquet")
    assert str(table.schema.field("flagged").type) == "bool"
    assert table.column("flagged").null_count == 12  # no cutoff is saved
    assert table.column("image").to_pylist() == [image.pk for image in Image.objects.of(experiment).in_plate_order()]


def test_no_row_costs_a_query(as_data_scientist, scientist, django_assert_max_num_queries):
    big = make_scored_experiment(scientist, name="big", rows=4, columns=5)
    save_cutoff_at(big, -0.55, by=scientist)
    label_images([NewLabel(image.pk, "good") for image in big.images.all()], by=scientist)
    for table in ("metrics", "scores"):
        for kind in ("csv", "parquet"):
            with django_assert_max_num_queries(10):
                response = as_data_scientist.get(f"/api/v1/experiments/{big.pk}/{table}/?format={kind}")
                b"".join(response.streaming_content)


@pytest.mark.parametrize("table", ["metrics", "scores"])
def test_an_unknown_format_is_refused(as_data_scientist, address, table):
    response = as_data_scientist.get(f"{address}/{table}/?format=xlsx")
    assert response.status_code == 400
    assert response.json()["detail"] == "'xlsx' is no format of this export; use csv or parquet."


@pytest.mark.parametrize("table", ["metrics", "scores"])
def test_there_is_no_table_before_the_work_is_done(as_data_scientist, scientist, table):
    response = as_data_scientist.get(f"/api/v1/experiments/{make_experiment(scientist).pk}/{table}/")
    assert response.status_code == 409
    assert "it first" in response.json()["detail"]


def test_a_client_that_asks_for_csv_by_header_is_served(as_data_scientist, address):
    assert as_data_scientist.get(f"{address}/metrics/", headers={"Accept": "text/csv"}).status_code == 200
