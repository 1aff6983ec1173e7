import io

from django.core.management import call_command


def test_the_schema_generates_without_warnings():
    out = io.StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=out)
    assert "/api/v1/experiments/{experiment_id}/images/" in out.getvalue()


def test_the_schema_is_served(as_data_scientist):
    response = as_data_scientist.get("/api/v1/schema/")
    assert response.status_code == 200
    assert response.json()["openapi"].startswith("3.")
