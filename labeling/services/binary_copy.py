"""Rows into PostgreSQL in its binary COPY format, packed by numpy: no Python per value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np
from django.db import connection, models, transaction

from labeling.services.binary_format import (
    ARRAY_HEADER,
    BIGINT,
    BOOLEAN,
    DOUBLE,
    EPOCH,
    HEADER,
    INTEGER,
    REAL,
    REAL_OID,
    SMALLINT,
    TRAILER,
    elements,
)

BATCH = 5000  # rows packed at once: 7 MB of 175 metrics
# So many new rows change what the planner must know. The server finds out by itself, but only a minute later: until
# then it may read a whole run of scores for each image.
MANY = 500
TIMES, TEXT, REALS = "times", "text", "reals"
KINDS: dict[str, np.dtype | str] = {
    "bigint": BIGINT,
    "integer": INTEGER,
    "smallint": SMALLINT,
    "real": REAL,
    "double precision": DOUBLE,
    "boolean": BOOLEAN,
    "timestamp with time zone": TIMES,
    "text": TEXT,
    "real[]": REALS,
}
# Bytes of one row after another, and how many each row has: the same number, or (N,).
Piece = tuple[np.ndarray, "int | np.ndarray"]


def copy_rows(model: type[models.Model], columns: Mapping[str, Any], *, ignore_conflicts: bool = False) -> int:
    """Add rows to the table of a model; returns how many were added.

    `columns` names database columns (`image_id`, not `image`). A value is (N,) numbers, times or texts, (N, P)
    floats for a `real[]`, a list with None or a masked array where some are NULL, or one value for all rows.
    Columns that are not named take the database's default. With `ignore_conflicts` rows that are there already
    are left as they are. Nothing of Django's runs per row: no `auto_now_add`, no default, no validation.

    Raises ValueError before anything is sent when a value does not fit its column; a batch later on may still
    raise, so the rows are added all or none.
    """
    n_added = _copied(model, columns, ignore_conflicts)
    if n_added >= MANY:
        gather_statistics(model)
    return n_added


def gather_statistics(model: type[models.Model]) -> None:
    """Let the planner know what is in the table now, as the server itself does only a minute later.

    Not of arrays: to look at their elements takes longer than to copy them, and nobody asks for it.
    """
    fields = [field for field in model._meta.concrete_fields if not field.db_type(connection).endswith("[]")]
    with connection.cursor() as cursor:
        cursor.execute(
            f"ANALYZE {_quoted(model._meta.db_table)} ({', '.join(_quoted(field.column) for field in fields)})"
        )


def copy_objects(objects: Sequence[models.Model]) -> int:
    """Add new objects of one model, as `bulk_create` does, but without giving them their ids; how many.

    Several times quicker from some hundred objects on. Defaults and `auto_now_add` are those of the objects.
    Where they are one batch of many, `gather_statistics` may follow the last.
    """
    if not objects:
        return 0
    model = type(objects[0])
    columns: dict[str, list[Any]] = {}
    for field in model._meta.concrete_fields:
        if isinstance(field, models.AutoField):
            continue
        if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
            columns[field.attname] = [field.pre_save(one, add=True) for one in objects]
        else:
            columns[field.attname] = list(map(attrgetter(field.attname), objects))
    return _copied(model, columns, ignore_conflicts=False)


# Packing


def _copied(model: type[models.Model], columns: Mapping[str, Any], ignore_conflicts: bool) -> int:
    fields = {name: _field(model, name) for name in columns}
    n = _n_rows(columns)
    table, names = _quoted(model._meta.db_table), ", ".join(_quoted(field.column) for field in fields.values())
    with transaction.atomic(), connection.cursor() as cursor:
        target = table
        if ignore_conflicts:  # COPY itself knows no ON CONFLICT
            target = "copied_rows"
            cursor.execute(f"CREATE TEMPORARY TABLE {target} AS SELECT {names} FROM {table} WITH NO DATA")
        with (
            connection.wrap_database_errors,  # Django's names for them; a cursor does not do that for COPY
            cursor.copy(f"COPY {target} ({names}) FROM STDIN (FORMAT BINARY)") as copy,
        ):
            copy.write(HEADER)
            for start in range(0, n, BATCH):
                copy.write(_packed(fields, columns, slice(start, min(start + BATCH, n))))
            copy.write(TRAILER)
        n_added = n
        if ignore_conflicts:
            cursor.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM {target} ON CONFLICT DO NOTHING")
            n_added = cursor.rowcount
            cursor.execute(f"DROP TABLE {target}")
        return n_added


def _packed(fields: Mapping[str, models.Field], columns: Mapping[str, Any], rows: slice) -> bytes:
    n = rows.stop - rows.start
    pieces: list[Piece] = [_repeated(len(fields).to_bytes(2, "big"), n)]
    for name, field in fields.items():
        pieces += _pieces(field, columns[name], rows)
    return _interleaved(pieces, n)


def _pieces(field: models.Field, given: Any, rows: slice) -> list[Piece]:
    """Length words and values of one column."""
    n = rows.stop - rows.start
    if _is_one_value(given):
        one = _interleaved(_pieces(field, [given], slice(0, 1)), 1)
        return [_repeated(one, n)]
    values = given[rows]
    is_null = _nulls(values)
    if is_null.any() and not field.null:
        raise ValueError(f"{_called(field)} cannot be empty, and {int(is_null.sum()):,} values are.")
    kind = _kind(field)
    if kind == TEXT:
        return _texts(field, values, is_null)
    if kind == REALS:
        return _arrays(field, values)
    numbers = _numbers(field, kind, values, is_null)
    width = numbers.dtype.itemsize
    if not is_null.any():
        return [_lengths(n, width), (_bytes(numbers), width)]
    widths = np.where(is_null, 0, width)
    return [_lengths(n, np.where(is_null, -1, width)), (_bytes(numbers[~is_null]), widths)]


def _numbers(field: models.Field, kind: np.dtype | str, values: Any, is_null: np.ndarray) -> np.ndarray:
    """The values big-endian as the column keeps them; what stands where NULL will be means nothing."""
    if isinstance(values, np.ma.MaskedArray):
        values = values.data
    elif is_null.any():
        filler = {TIMES: EPOCH, BOOLEAN: False}.get(kind, 0)
        values = [filler if missing else value for value, missing in zip(values, is_null.tolist(), strict=True)]
    if kind == TIMES:
        return _times(values)
    given = np.asarray(values)
    if kind == BOOLEAN and given.dtype != bool:
        raise ValueError(f"{_called(field)} takes yes or no, not {given.dtype}.")
    if kind.kind == "i":
        bounds = np.iinfo(kind)
        if given.dtype.kind not in "iu":
            raise ValueError(f"{_called(field)} takes whole numbers, not {given.dtype}.")
        if len(given) and (given.min() < bounds.min or given.max() > bounds.max):
            raise ValueError(f"{_called(field)} holds {bounds.min} to {bounds.max}.")
    return _narrowed(field, given, kind)


def _narrowed(field: models.Field, given: np.ndarray, kind: np.dtype) -> np.ndarray:
    """The numbers in the column's type; a finite one never becomes infinite on the way."""
    if given.dtype.kind not in "fiub":
        raise ValueError(f"{_called(field)} takes numbers, not {given.dtype}.")
    with np.errstate(over="ignore"):
        narrowed = given.astype(kind)
    if kind == REAL and given.dtype.itemsize > 4 and (np.isinf(narrowed) & np.isfinite(given)).any():
        raise ValueError(f"{_called(field)} holds 4-byte numbers; one is too large for that.")
    return narrowed


def _times(values: Any) -> np.ndarray:
    """Microseconds since 2000. Moments without a time zone are UTC."""
    if not isinstance(values, np.ndarray):
        values = [
            value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) and value.tzinfo else value
            for value in values
        ]
    return (np.asarray(values, "datetime64[us]") - EPOCH).astype(BIGINT)


def _texts(field: models.Field, values: Any, is_null: np.ndarray) -> list[Piece]:
    texts = ["" if text is None else text for text in values]
    joined = "".join(texts)
    if "\0" in joined:
        raise ValueError(f"{_called(field)} cannot hold the character NUL.")
    if field.max_length and any(len(text) > field.max_length for text in texts):
        raise ValueError(f"{_called(field)} holds {field.max_length} characters at most.")
    encoded = joined.encode()
    if len(encoded) == len(joined):  # ASCII, as nearly always
        widths = np.fromiter(map(len, texts), np.int64, len(texts))
    else:
        widths = np.fromiter((len(text.encode()) for text in texts), np.int64, len(texts))
    return [_lengths(len(texts), np.where(is_null, -1, widths)), (np.frombuffer(encoded, np.uint8), widths)]


def _arrays(field: models.Field, values: Any) -> list[Piece]:
    """Each row of (N, P) as a one-dimensional array; NaN is a value like others."""
    if np.ma.is_masked(values):
        raise ValueError(f"{_called(field)} takes NaN where a value is undefined, not a masked one.")
    given = np.asarray(values)
    if given.ndim != 2:
        raise ValueError(f"{_called(field)} takes a table of rows by values, not shape {given.shape}.")
    n, width = given.shape
    layout = np.dtype([("length", ">i4"), ("array", ARRAY_HEADER), ("values", elements(width))])
    if not width:  # an empty array has no dimension at all
        empty = np.array([12, 0, 0, REAL_OID], ">i4").tobytes()
        return [_repeated(empty, n)]
    packed = np.zeros(n, layout)
    packed["length"] = layout.itemsize - 4
    packed["array"] = (1, 0, REAL_OID, width, 1)
    packed["values"]["length"] = 4
    packed["values"]["value"] = _narrowed(field, given, REAL)
    return [(_bytes(packed), layout.itemsize)]


def _interleaved(pieces: Sequence[Piece], n: int) -> bytes:
    """Row after row, each row the bytes of its pieces in their order."""
    pieces = _joined(pieces, n)
    if len(pieces) == 1:
        return pieces[0][0].tobytes()
    widths = np.stack([np.broadcast_to(width, n) for _, width in pieces], axis=1)
    ends = np.cumsum(widths.ravel()).reshape(widths.shape)
    starts = ends - widths
    rows = np.empty(ends[-1, -1] if n else 0, np.uint8)
    for (flat, width), start in zip(pieces, starts.T, strict=True):
        if isinstance(width, int):
            rows[start[:, None] + np.arange(width)] = flat.reshape(n, width)
        else:
            own_start = np.cumsum(width) - width
            rows[np.arange(len(flat)) + np.repeat(start - own_start, width)] = flat
    return rows.tobytes()


def _joined(pieces: Sequence[Piece], n: int) -> list[Piece]:
    """Neighbours of a fixed width as one piece."""
    joined: list[Piece] = []
    for is_fixed, group in groupby(pieces, key=lambda piece: isinstance(piece[1], int)):
        if is_fixed:
            tables = [flat.reshape(n, width) for flat, width in group]
            table = np.hstack(tables) if len(tables) > 1 else tables[0]
            joined.append((table.ravel(), table.shape[1]))
        else:
            joined += group
    return joined


def _repeated(row: bytes, n: int) -> Piece:
    return np.tile(np.frombuffer(row, np.uint8), n), len(row)


def _lengths(n: int, lengths: int | np.ndarray) -> Piece:
    return _bytes(np.full(n, lengths, ">i4")), 4


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values).view(np.uint8).ravel()


# What is given


def _field(model: type[models.Model], name: str) -> models.Field:
    for field in model._meta.concrete_fields:
        if field.attname == name:
            return field
    raise ValueError(f"{model.__name__} has no column {name}.")


def _kind(field: models.Field) -> np.dtype | str:
    db_type = field.db_type(connection)
    kind = KINDS.get("text" if db_type.startswith("varchar") else db_type)
    if kind is None:
        raise ValueError(f"{_called(field)} is {db_type}, which cannot be copied.")
    return kind


def _n_rows(columns: Mapping[str, Any]) -> int:
    sizes = {name: len(values) for name, values in columns.items() if not _is_one_value(values)}
    if len(set(sizes.values())) != 1:
        raise ValueError(f"Columns must be equally long: {sizes}.")
    return next(iter(sizes.values()))


def _nulls(values: Any) -> np.ndarray:
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.getmaskarray(values)
    if isinstance(values, np.ndarray) and values.dtype != object:
        return np.isnat(values) if values.dtype.kind == "M" else np.zeros(len(values), bool)
    return np.fromiter((value is None for value in values), bool, len(values))


def _is_one_value(given: Any) -> bool:
    return given is None or isinstance(given, str) or np.ndim(given) == 0


def _called(field: models.Field) -> str:
    return f"{field.model.__name__}.{field.attname}"


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)
