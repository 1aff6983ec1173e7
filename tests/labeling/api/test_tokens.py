from rest_framework.test import APIClient

from labeling.models import AuditEvent
from tests.conftest import PASSWORD


def test_a_token_opens_what_its_person_may_see(as_nobody, scientist, experiment):
    answer = as_nobody.post("/api/v1/auth/token/", {"username": "grace", "password": PASSWORD}, format="json")
    assert answer.status_code == 200
    client = APIClient(headers={"Authorization": f"Token {answer.json()['token']}"})
    assert client.get("/api/v1/experiments/").status_code == 200


def test_a_wrong_password_gets_no_token(as_nobody, scientist):
    answer = as_nobody.post("/api/v1/auth/token/", {"username": "grace", "password": "guess"}, format="json")
    assert answer.status_code == 400
    assert answer.json()["detail"] == "Unable to log in with provided credentials."


def test_a_token_of_an_outsider_opens_nothing(as_nobody, outsider):
    answer = as_nobody.post("/api/v1/auth/token/", {"username": "otto", "password": PASSWORD}, format="json")
    client = APIClient(headers={"Authorization": f"Token {answer.json()['token']}"})
    assert client.get("/api/v1/experiments/").status_code == 403


def test_a_token_nobody_gave_is_refused_with_a_problem(as_nobody):
    response = as_nobody.get("/api/v1/experiments/", headers={"Authorization": "Token made-up"})
    assert response.status_code == 401
    assert response["Content-Type"] == "application/problem+json"


def test_a_token_needs_no_csrf_token(as_nobody, scientist):
    answer = as_nobody.post("/api/v1/auth/token/", {"username": "grace", "password": PASSWORD}, format="json")
    client = APIClient(enforce_csrf_checks=True, headers={"Authorization": f"Token {answer.json()['token']}"})
    assert client.post("/api/v1/experiments/", {"name": "By script"}, format="json").status_code == 201
    event = AuditEvent.objects.get(action="experiment.created")
    assert (event.origin, event.actor) == ("API", scientist)


def test_a_session_needs_a_csrf_token(scientist):
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(scientist)
    assert client.get("/api/v1/experiments/").status_code == 200
    response = client.post("/api/v1/experiments/", {"name": "Forged"}, format="json")
    assert response.status_code == 403
    assert "CSRF" in response.json()["detail"]
