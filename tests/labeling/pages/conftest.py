"""A browser without scripts for each member of the cast."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.labeling.plates_on_disk import write_plate

HTMX = {"HX-Request": "true"}
FETCH = {"X-Requested-With": "fetch"}
CAST = ("scientist", "data_scientist", "admin", "outsider")


def client_of(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def as_scientist(scientist):
    return client_of(scientist)


@pytest.fixture
def as_data_scientist(data_scientist):
    return client_of(data_scientist)


@pytest.fixture
def as_admin(admin):
    return client_of(admin)


@pytest.fixture
def as_outsider(outsider):
    return client_of(outsider)


@pytest.fixture
def plate(tmp_path):
    """A folder of eight images that can be taken in."""
    return write_plate(tmp_path / "P1")


def look_and_take(client: Client, page: str, given: dict[str, str], **options):
    """Press "Look", then the button that the preview has."""
    look = client.post(page, {**given, "look": "1"}).context["look"]
    return client.post(page, {**given, "looked": look.looked}, **options)


def text_of(response) -> str:
    return response.content.decode()


def told(response) -> list[str]:
    """The messages a person sees after a form, on the page it led to."""
    return [str(message) for message in response.context["messages"]]
