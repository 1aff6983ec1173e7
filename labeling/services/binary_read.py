"""Rows out of PostgreSQL in its binary COPY format, read by numpy: no Python per value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from django.core.exceptions import EmptyResultSet
from django.db import connection, models

from labeling.services.binary_format import ARRAY_HEADER, HEADER, REAL_OID, TRAILER, elements

READ_BYTES = 8_000_000  # unpacked at once


def copy_out(rows: models.QuerySet, kinds: Mapping[str, np.dtype]) -> Iterator[np.ndarray]:
    """Rows of a `values_list` queryset as structured arrays of some thousand rows, until there is none.

    `kinds` gives each column a name and its type, in the order of the queryset: BIGINT, REAL, `reals(175)`.
    The connection can do nothing else until the last piece was taken. Raises ValueError when a value is NULL
    or an array has another length.
    """
    layout = _layout(kinds)
    try:
        sql, parameters = rows.query.sql_with_params()
    except EmptyResultSet:  # a filter nothing can pass: Django asks no query
        yield np.empty(0, np.dtype(list(kinds.items())))
        return
    waiting, header_left = bytearray(), len(HEADER)
    with (
        connection.cursor() as cursor,
        connection.wrap_database_errors,
        # Django's cursor that counts queries takes no parameters of a COPY.
        cursor.copy(f"COPY ({cursor.mogrify(sql, parameters)}) TO STDOUT (FORMAT BINARY)") as copy,
    ):
        for block in copy:
            waiting += block
            if len(waiting) >= READ_BYTES + header_left:
                del waiting[:header_left]
                header_left = 0
                whole = len(waiting) // layout.itemsize * layout.itemsize
                yield _unpacked(bytes(waiting[:whole]), layout, kinds)
                del waiting[:whole]
    del waiting[:header_left]
    if not waiting.endswith(TRAILER) or (len(waiting) - len(TRAILER)) % layout.itemsize:
        raise ValueError(_not_as_expected(kinds))
    yield _unpacked(bytes(waiting[: -len(TRAILER)]), layout, kinds)


def copy_out_whole(rows: models.QuerySet, kinds: Mapping[str, np.dtype]) -> dict[str, np.ndarray]:
    """The same as one native array a column, (N,) or (N, P)."""
    pieces: dict[str, list[np.ndarray]] = {name: [] for name in kinds}
    for piece in copy_out(rows, kinds):
        for name, kept in pieces.items():
            kept.append(native(piece[name]))
    return {name: np.concatenate(kept) for name, kept in pieces.items()}


def native(values: np.ndarray) -> np.ndarray:
    """The same numbers in this machine's byte order, in memory of their own."""
    return values.astype(values.dtype.newbyteorder("="))


def _layout(kinds: Mapping[str, np.dtype]) -> np.dtype:
    """One row as it stands in the stream."""
    parts: list[tuple[str, Any]] = [("n fields", ">i2")]
    for name, kind in kinds.items():
        parts.append((f"length of {name}", ">i4"))
        if kind.shape:
            parts += [(f"array of {name}", ARRAY_HEADER), (name, elements(kind.shape[0]))]
        else:
            parts.append((name, kind))
    return np.dtype(parts)


def _unpacked(block: bytes, layout: np.dtype, kinds: Mapping[str, np.dtype]) -> np.ndarray:
    """Rows without the words between the values, after these were checked."""
    rows = np.frombuffer(block, layout)
    fits = rows["n fields"] == len(kinds)
    values = np.empty(len(rows), np.dtype(list(kinds.items())))
    for name, kind in kinds.items():
        if kind.shape:
            width = kind.shape[0]
            fits &= rows[f"length of {name}"] == ARRAY_HEADER.itemsize + 8 * width
            fits &= rows[f"array of {name}"] == np.array((1, 0, REAL_OID, width, 1), ARRAY_HEADER)
            values[name] = rows[name]["value"]
        else:
            fits &= rows[f"length of {name}"] == kind.itemsize
            values[name] = rows[name]
    if not fits.all():
        raise ValueError(_not_as_expected(kinds))
    return values


def _not_as_expected(kinds: Mapping[str, np.dtype]) -> str:
    return f"A row is not as expected: NULL in it, or an array of another length. Columns: {', '.join(kinds)}."
