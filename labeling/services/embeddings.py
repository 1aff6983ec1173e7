"""Keep the vectors of images and bring them back, 200,000 in seconds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from django.db import connection

from labeling.models import Embedding, EmbeddingSet, Experiment, Image

KEPT_AS = np.dtype("<f2")  # a vector's own noise is larger: 3 digits are enough, and half the bytes
LARGEST = float(np.finfo(KEPT_AS).max)
# PostgreSQL's binary COPY (its manual, "COPY", "Binary Format"): header, rows, trailer; all big-endian.
HEADER, TRAILER = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
READ_BYTES = 16_000_000


def store_embeddings(embedding_set: EmbeddingSet, image_ids: np.ndarray, vectors: np.ndarray) -> int:
    """Keep vectors (N, D) of Images (N,) that have none in this set yet; returns how many were added.

    Raises ValueError when they are not as long as the set says or not finite.
    """
    vectors = np.asarray(vectors, np.float32)
    if vectors.shape != (len(image_ids), embedding_set.dimensions):
        raise ValueError(f"{vectors.shape} are no {len(image_ids)} vectors of {embedding_set.dimensions} numbers.")
    if not np.isfinite(vectors).all():
        raise ValueError("An embedding must be finite.")
    rows = np.zeros(len(vectors), _written_row(embedding_set.dimensions))
    rows["n_fields"] = 3
    rows["set_length"] = rows["image_length"] = 8
    rows["set"], rows["image"] = embedding_set.pk, image_ids
    rows["vector_length"] = rows["vector"].dtype.itemsize * embedding_set.dimensions
    rows["vector"] = np.clip(vectors, -LARGEST, LARGEST)
    table, columns = Embedding._meta.db_table, "embedding_set_id, image_id, vector"
    with connection.cursor() as cursor:
        # COPY knows no ON CONFLICT; a job that is delivered twice meets its own rows.
        cursor.execute(f"CREATE TEMPORARY TABLE embedding_rows AS SELECT {columns} FROM {table} WITH NO DATA")
        with cursor.copy(f"COPY embedding_rows ({columns}) FROM STDIN (FORMAT BINARY)") as copy:
            copy.write(HEADER + rows.tobytes() + TRAILER)
        cursor.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM embedding_rows ON CONFLICT DO NOTHING")
        n_added = cursor.rowcount
        cursor.execute("DROP TABLE embedding_rows")
    return n_added


def read_embeddings(embedding_set: EmbeddingSet) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Image ids (n,) ascending and vectors (n, D) float16 of unbroken Images, in pieces of some thousand."""
    row = _read_row(embedding_set.dimensions)
    query = Embedding.objects.filter(embedding_set=embedding_set, image__state=Image.State.READY).order_by("image_id")
    sql, parameters = query.values_list("image_id", "vector").query.sql_with_params()
    waiting, to_skip = bytearray(), len(HEADER)
    with connection.cursor() as cursor, cursor.copy(f"COPY ({sql}) TO STDOUT (FORMAT BINARY)", parameters) as copy:
        for block in copy:
            waiting += block
            if len(waiting) >= READ_BYTES + to_skip:
                del waiting[:to_skip]
                to_skip = 0
                whole = len(waiting) // row.itemsize * row.itemsize
                yield _unpacked(bytes(waiting[:whole]), row)
                del waiting[:whole]
    del waiting[:to_skip]
    yield _unpacked(bytes(waiting[: -len(TRAILER)]), row)


def current_embedding_set(experiment: Experiment) -> EmbeddingSet | None:
    """The set of the network that was last asked for, complete or not; None before the first."""
    return experiment.embedding_sets.order_by("-asked_at", "-id").first()


def load_embeddings(experiment: Experiment) -> tuple[np.ndarray, np.ndarray]:
    """Image ids (N,) int64 ascending and their vectors (N, D) float32 of the newest set; both empty without one.

    200,000 vectors of 640 numbers are 0.5 GB; `read_embeddings` gives them in pieces and in half the memory.
    """
    embedding_set = current_embedding_set(experiment)
    if embedding_set is None:
        return np.empty(0, np.int64), np.empty((0, 0), np.float32)
    ids, vectors = zip(*read_embeddings(embedding_set), strict=True)
    return np.concatenate(ids), np.concatenate([piece.astype(np.float32) for piece in vectors])


def _unpacked(block: bytes, row: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    rows = np.frombuffer(block, row)
    if (rows["vector_length"] != row["vector"].itemsize).any():
        raise ValueError("A stored vector is not as long as its set says.")
    return rows["image"].astype(np.int64), rows["vector"].copy()


def _written_row(dimensions: int) -> np.dtype:
    """One row of COPY in: the number of fields, then each field's length and value."""
    return np.dtype([("n_fields", ">i2"), ("set_length", ">i4"), ("set", ">i8"), *_image_and_vector(dimensions)])


def _read_row(dimensions: int) -> np.dtype:
    return np.dtype([("n_fields", ">i2"), *_image_and_vector(dimensions)])


def _image_and_vector(dimensions: int) -> list[tuple]:
    # The vector's bytes are opaque to PostgreSQL: they stay little-endian.
    return [("image_length", ">i4"), ("image", ">i8"), ("vector_length", ">i4"), ("vector", KEPT_AS, (dimensions,))]
