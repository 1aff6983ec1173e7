"""Waiting for one's turn, without making those wait who want something else of the same row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from django.db import connection


def wait_for_turn(what: str, keys: Iterable[object] = ("",)) -> None:
    """Hold this place until the transaction ends; others who name the same `what` and key wait until then.

    A lock of the experiment's row would also stop every label and job that refers to it, for as long as an ingest
    writes. Several keys are taken in one order, so that two who want the same ones never wait for each other.
    """
    numbers = sorted({_number(f"{what} {key}") for key in keys})
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(number) FROM unnest(%s::bigint[]) AS number", [numbers])


def _number(text: str) -> int:
    """A 64-bit number of a text, as PostgreSQL's locks have them."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], signed=True)
