"""A client for each member of the cast."""

import pytest
from rest_framework.test import APIClient


def client_of(user) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
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
def as_nobody(db):
    return APIClient()


@pytest.fixture
def address(experiment):
    """Where the calls about the experiment are."""
    return f"/api/v1/experiments/{experiment.pk}"


@pytest.fixture
def draft(experiment, scientist):
    from labeling.services.qc_sets import draft_qc_set
    from tests.factories import save_cutoff_at

    save_cutoff_at(experiment, -0.55, by=scientist)
    return draft_qc_set(experiment, by=scientist)


@pytest.fixture
def signed(draft, scientist):
    from labeling.services.qc_sets import approve_qc_set
    from tests.conftest import PASSWORD

    approve_qc_set(draft, by=scientist, password=PASSWORD, meaning="I reviewed this set")
    draft.refresh_from_db()
    return draft


def walk(client, address):
    """All rows of a list, page after page."""
    rows = []
    for _ in range(100):  # a list that repeats itself would go on for ever
        page = client.get(address).json()
        rows += page["results"]
        address = page["next"]
        if address is None:
            return rows
    raise AssertionError(f"the list does not end: {address}")
