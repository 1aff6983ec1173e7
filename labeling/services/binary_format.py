"""PostgreSQL's binary COPY format, as numpy types.

A stream is a header, rows and a trailer. Each row is a count of fields, then for each field its length in bytes and
its value, all big-endian; a length of -1 is NULL. Source: PostgreSQL's manual, "COPY", section "Binary Format".
"""

from __future__ import annotations

import numpy as np

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # no flags, nothing in the extension
TRAILER = b"\xff\xff"
REAL_OID = 700  # PostgreSQL's number of the type of an array's elements
EPOCH = np.datetime64("2000-01-01", "us")  # PostgreSQL counts microseconds from here

BIGINT, INTEGER, SMALLINT = np.dtype(">i8"), np.dtype(">i4"), np.dtype(">i2")
REAL, DOUBLE, BOOLEAN = np.dtype(">f4"), np.dtype(">f8"), np.dtype("u1")
ARRAY_HEADER = np.dtype([("ndim", ">i4"), ("has_null", ">i4"), ("oid", ">i4"), ("n", ">i4"), ("first", ">i4")])


def reals(n: int) -> np.dtype:
    """The values of a `real[]` with n elements."""
    return np.dtype((">f4", (n,)))


def elements(n: int) -> np.dtype:
    """The same as they stand in the stream, each with its length."""
    return np.dtype(([("length", ">i4"), ("value", ">f4")], (n,)))
