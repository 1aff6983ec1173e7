"""QC sets in the states tests begin with, and a door past the database's guards."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection

from labeling.models import Experiment, QCSet, User
from labeling.services.qc_sets import approve_qc_set, draft_qc_set
from tests.conftest import PASSWORD
from tests.factories import save_cutoff_at

MEANING = "I reviewed this set and approve it for training."


@pytest.fixture
def draft(experiment: Experiment, scientist: User) -> QCSet:
    """A draft whose cutoff flags some of the twelve images."""
    save_cutoff_at(experiment, -0.55, by=scientist)
    return draft_qc_set(experiment, by=scientist)


@pytest.fixture
def signed(draft: QCSet, scientist: User) -> QCSet:
    approve_qc_set(draft, by=scientist, password=PASSWORD, meaning=MEANING)
    draft.refresh_from_db()
    return draft


@pytest.fixture
def tamper(db) -> Callable[..., None]:
    """Run SQL as somebody would who owns the server and switches the triggers off."""

    def run(sql: str, *parameters: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(sql, parameters)
            cursor.execute("SET LOCAL session_replication_role = origin")

    return run
