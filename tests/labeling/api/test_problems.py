import pytest

from labeling.api.problems import sentences


def test_an_unknown_experiment_is_named(as_scientist):
    response = as_scientist.get("/api/v1/experiments/12/")
    assert response.status_code == 404
    assert response["Content-Type"] == "application/problem+json"
    assert response.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is no experiment 12.",
    }


@pytest.mark.parametrize(
    ("address", "detail"),
    [
        ("experiments/12/images/", "There is no experiment 12."),
        ("experiments/99999999999999999999/", "There is no experiment 99999999999999999999."),
        ("jobs/12/", "There is no job 12."),
        ("qc-sets/12/", "There is no QC set 12."),
        ("qc-sets/12/export/", "There is no QC set 12."),
    ],
)
def test_what_is_not_there_is_named(as_scientist, address, detail):
    response = as_scientist.get(f"/api/v1/{address}")
    assert (response.status_code, response.json()["detail"]) == (404, detail)


def test_a_method_that_is_not_there_is_a_problem(as_scientist, address):
    response = as_scientist.delete(f"{address}/")
    assert response.status_code == 405
    assert response["Allow"]
    assert response.json()["title"] == "Method Not Allowed"


def test_a_body_that_is_no_json_is_a_problem(as_scientist):
    response = as_scientist.post("/api/v1/labels/", "{", content_type="application/json")
    assert response.status_code == 400
    assert "JSON" in response.json()["detail"]


def test_a_missing_field_is_named(as_scientist):
    response = as_scientist.post("/api/v1/experiments/", {}, format="json")
    assert response.status_code == 400
    assert response.json()["detail"] == "name: This field is required."
    assert response.json()["errors"] == {"name": ["This field is required."]}


def test_errors_in_a_list_say_which_entry():
    errors = [{}, {"verdict": ["wrong"], "defects": {1: ["unknown"]}}]
    assert list(sentences(errors)) == ["entry 2, verdict: wrong", "entry 2, defects, entry 2: unknown"]


def test_a_cursor_nobody_gave_is_a_bad_value(as_scientist, address):
    for cursor in ("nonsense", "cD1hYmM=", "bmFuLDE="):
        for ordering in ("id", "isolation_score"):
            response = as_scientist.get(f"{address}/images/?ordering={ordering}&cursor={cursor}")
            assert response.status_code == 400, (cursor, ordering)
            assert "cursor" in response.json()["detail"]


@pytest.mark.parametrize("size", ["0", "1001", "many", "-1"])
def test_a_page_size_that_makes_no_sense_is_a_bad_value(as_scientist, address, size):
    assert as_scientist.get(f"{address}/images/?page_size={size}").status_code == 400
