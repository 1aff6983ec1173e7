"""Logging in and out, and a password of one's own."""

from __future__ import annotations

import pytest

from tests.conftest import PASSWORD
from tests.labeling.pages.conftest import text_of


def log_in(client, username="grace", password=PASSWORD, **given):
    return client.post("/login/", {"username": username, "password": password, **given})


def test_who_logs_in_sees_the_experiments(scientist, client):
    assert log_in(client)["Location"] == "/"
    assert client.get("/").status_code == 200


def test_who_wanted_to_go_somewhere_gets_there(scientist, client):
    assert 'name="next" value="/help/"' in text_of(client.get("/help/", follow=True))
    assert log_in(client, next="/help/")["Location"] == "/help/"


@pytest.mark.parametrize("elsewhere", ["https://elsewhere.example/", "//elsewhere.example/"])
def test_nobody_is_led_to_another_site(scientist, client, elsewhere):
    assert log_in(client, next=elsewhere)["Location"] == "/"


@pytest.mark.parametrize("given", [{"password": "guess"}, {"username": "ghost"}, {"password": ""}])
def test_a_wrong_log_in_says_so_and_not_which_half_was_wrong(scientist, client, given):
    response = log_in(client, **given)
    assert response.status_code == 200
    assert "Log-in and password do not match." in text_of(response)
    assert client.get("/").status_code == 302


def test_a_deactivated_person_does_not_get_in(scientist, client):
    scientist.is_active = False
    scientist.save()
    assert "do not match" in text_of(log_in(client))


def test_who_is_in_is_led_on(as_scientist):
    assert as_scientist.get("/login/")["Location"] == "/"


def test_logging_out_ends_the_session(as_scientist):
    assert as_scientist.post("/logout/")["Location"] == "/login/"
    assert as_scientist.get("/").status_code == 302


def test_a_password_is_changed_by_its_owner(scientist, as_scientist):
    new = {"new_password1": "dishes of agar 96", "new_password2": "dishes of agar 96"}
    assert "incorrectly" in text_of(as_scientist.post("/password/", {"old_password": "guess", **new}))
    assert as_scientist.post("/password/", {"old_password": PASSWORD, **new})["Location"] == "/"
    scientist.refresh_from_db()
    assert scientist.check_password("dishes of agar 96")
    assert as_scientist.get("/").status_code == 200


def test_a_weak_password_is_refused(scientist, as_scientist):
    response = as_scientist.post(
        "/password/", {"old_password": PASSWORD, "new_password1": "12345678", "new_password2": "12345678"}
    )
    assert "too common" in text_of(response)
    scientist.refresh_from_db()
    assert scientist.check_password(PASSWORD)
