"""Measurement rows by the array: in and out in batches, and never one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from django.db import connection

from labeling.models import Measurement, MetricSet

BATCH = 2_000
Progress = Callable[[int, int], None]


def store_rows(
    metric_set: MetricSet, image_ids: np.ndarray, values: np.ndarray, *, progress: Progress | None = None
) -> None:
    """Write the rows `values` (N, P), NaN where undefined, of the Images `image_ids` (N,)."""
    for start in range(0, len(image_ids), BATCH):
        part = slice(start, start + BATCH)
        Measurement.objects.bulk_create(
            Measurement(metric_set=metric_set, image_id=image_id, values=row)
            for image_id, row in zip(image_ids[part].tolist(), values[part].tolist(), strict=True)
        )
        if progress:
            progress(min(start + BATCH, len(image_ids)), len(image_ids))


def equal_rows(metric_set: MetricSet, image_ids: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which Images (N,) the set has a row of, and for which that row is the same as `values` (N, P) to the bit."""
    is_known, is_equal = np.zeros(len(image_ids), bool), np.zeros(len(image_ids), bool)
    for start in range(0, len(image_ids), BATCH):
        wanted = image_ids[start : start + BATCH]
        rows = metric_set.measurements.filter(image__in=wanted.tolist()).order_by().values_list("image_id", "values")
        stored = dict(rows)
        for n, image_id in enumerate(wanted.tolist(), start=start):
            if image_id in stored:
                is_known[n] = True
                is_equal[n] = np.array_equal(np.asarray(stored[image_id], np.float32), values[n], equal_nan=True)
    return is_known, is_equal


def carry_rows(old: MetricSet, new: MetricSet, *, except_images: np.ndarray) -> int:
    """Copy the rows of other Images into a set whose columns begin with the old ones; the further ones are NaN."""
    table, names = Measurement._meta.db_table, ("metric_set_id", "image_id", '"values"', "measured_at")
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(names)}) "
            f"SELECT %s, image_id, \"values\" || array_fill('NaN'::real, ARRAY[%s]), measured_at FROM {table} "
            "WHERE metric_set_id = %s AND NOT image_id = ANY(%s)",
            [new.pk, len(new.columns) - len(old.columns), old.pk, except_images.tolist()],
        )
        return cursor.rowcount
