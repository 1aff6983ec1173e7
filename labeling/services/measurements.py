"""The metrics of many Images at once: the one place that keeps them and the one that brings them back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from labeling.models import Image, Measurement, MetricSet
from labeling.services.binary_copy import copy_rows
from labeling.services.binary_format import BIGINT, reals
from labeling.services.binary_read import copy_out, native

BATCH = 20_000


class Metrics(NamedTuple):
    """Metrics of N Images: image_ids (N,) ascending, plate_ids (N,), values (N, P) float32, NaN where undefined."""

    image_ids: np.ndarray
    plate_ids: np.ndarray
    values: np.ndarray


def store_measurements(metric_set: MetricSet, image_ids: np.ndarray, values: np.ndarray) -> int:
    """Keep values (N, P) of Images (N,), P as the metric set names them; returns how many were new.

    Images that have metrics of this set keep those: storing twice changes nothing. NaN is undefined; None has
    no place here. 200,000 x 175 take some seconds. Raises ValueError when shapes do not fit.
    """
    image_ids, values = np.asarray(image_ids, np.int64), np.asanyarray(values)
    if values.dtype.kind != "f":
        raise ValueError(f"metrics are floats with NaN where undefined, not {values.dtype}")
    if values.shape != (len(image_ids), len(metric_set.columns)):
        raise ValueError(f"{values.shape} is not {len(image_ids)} images by {len(metric_set.columns)} metrics")
    columns = {
        "metric_set_id": metric_set.pk,
        "image_id": image_ids,
        "values": values,
        "measured_at": timezone.now(),
    }
    return copy_rows(Measurement, columns, ignore_conflicts=True)


def load_measurements(
    metric_set: MetricSet,
    columns: Sequence[int] | None = None,
    *,
    plate_id: int | None = None,
    image_ids: Sequence[int] | None = None,
    ready_only: bool = False,
) -> Metrics:
    """The metrics of a set, rows in the order of the Images' ids.

    `columns` are positions in `metric_set.columns`, all when None; `plate_id` takes one plate,
    `image_ids` some thousand Images, `ready_only` leaves out Images that are incomplete or failed.

    Raises ValueError when a row does not fit the metric set.
    """
    wanted = slice(None) if columns is None else list(columns)
    kinds = {"image": BIGINT, "plate": BIGINT, "values": reals(len(metric_set.columns))}
    ids, plates, values = [], [], []
    for piece in copy_out(_rows(metric_set, plate_id, image_ids, ready_only), kinds):
        ids.append(native(piece["image"]))
        plates.append(native(piece["plate"]))
        values.append(native(piece["values"][:, wanted]))
    return _in_order(Metrics(np.concatenate(ids), np.concatenate(plates), np.concatenate(values)))


def metrics_of(metric_set: MetricSet, image_ids: Sequence[int]) -> np.ndarray:
    """Values (N, P) float32 of these Images in this order; NaN in the row of one that was not measured."""
    asked = np.asarray(image_ids, np.int64)
    found = load_measurements(metric_set, image_ids=asked)
    values = np.full((len(asked), len(metric_set.columns)), np.nan, np.float32)
    is_measured = np.isin(asked, found.image_ids)
    values[is_measured] = found.values[np.searchsorted(found.image_ids, asked[is_measured])]
    return values


def _rows(metric_set: MetricSet, plate_id: int | None, image_ids: Sequence[int] | None, ready_only: bool) -> QuerySet:
    measurements = Measurement.objects.filter(metric_set=metric_set)
    if plate_id is not None:
        measurements = measurements.filter(image__plate=plate_id)
    if image_ids is not None:
        measurements = measurements.filter(image__in=[int(pk) for pk in image_ids])
    if ready_only:
        measurements = measurements.filter(image__state=Image.State.READY)
    # Sorting 200,000 numbers here is quicker than sorting 200,000 arrays there.
    return measurements.order_by().values_list("image_id", "image__plate_id", "values")


def _in_order(metrics: Metrics) -> Metrics:
    if (np.diff(metrics.image_ids) > 0).all():
        return metrics
    order = np.argsort(metrics.image_ids)
    return Metrics(*(part[order] for part in metrics))


def equal_rows(metric_set: MetricSet, image_ids: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which Images (N,) the set has a row of, and for which that row is the same as `values` (N, P) to the bit."""
    is_known, is_equal = np.zeros(len(image_ids), bool), np.zeros(len(image_ids), bool)
    for start in range(0, len(image_ids), BATCH):
        part = slice(start, start + BATCH)
        stored = load_measurements(metric_set, image_ids=image_ids[part].tolist())
        is_known[part] = np.isin(image_ids[part], stored.image_ids)
        known = start + np.flatnonzero(is_known[part])
        rows = stored.values[np.searchsorted(stored.image_ids, image_ids[known])]
        same = (rows == values[known]) | (np.isnan(rows) & np.isnan(values[known]))
        is_equal[known] = same.all(axis=1)
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
