"""The images of a run as columns of numbers, in the order of its scores: what rules and galleries count with.

A run never changes, so a process reads each once. Row n is the same image in every column here, in the
run's own vector, and in its metric vectors: ascending by score, equal scores by image.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from django.db import connection

from imaging.metrics.foreign import meaning_of
from imaging.robust import robust_z
from labeling.models import Experiment, MetricSet, MetricVector, Score, ScoreRun
from labeling.problems import BadValue
from labeling.services.scores import scores_of

RAW, Z = "raw", "z"
CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z]+|[a-z]+|\d+")  # MADIntensity: MAD, Intensity


@dataclass(frozen=True)
class RunTable:
    """Image and well of every row (N,), int64."""

    image_ids: np.ndarray
    well_ids: np.ndarray
    # Rows sorted by image, to find an image's row.
    by_image: np.ndarray

    def rows_of(self, image_ids: np.ndarray) -> np.ndarray:
        """The rows of those images that are in the run."""
        if not len(image_ids):
            return np.empty(0, np.int64)
        found = np.searchsorted(self.image_ids, image_ids, sorter=self.by_image)
        rows = self.by_image[np.minimum(found, len(self.by_image) - 1)]
        return rows[self.image_ids[rows] == image_ids]

    def row_of(self, image_id: int) -> int | None:
        rows = self.rows_of(np.array([image_id]))
        return int(rows[0]) if len(rows) else None


@lru_cache(maxsize=8)  # 200,000 images are 5 MB
def run_table(run_id: int) -> RunTable:
    """The rows of a run, in one query that the index on its bands answers alone."""
    ids, wells = _packed(
        """
        SELECT string_agg(int8send(image_id), ''::bytea ORDER BY score, image_id),
               string_agg(int8send(well_id), ''::bytea ORDER BY score, image_id)
        FROM labeling_score WHERE run_id = %s
        """,
        [run_id],
    )
    image_ids = np.frombuffer(ids, ">i8").astype(np.int64)
    return RunTable(image_ids, np.frombuffer(wells, ">i8").astype(np.int64), np.argsort(image_ids))


@lru_cache(maxsize=64)  # 200,000 images are 0.8 MB
def metric_values(run_id: int, column: str, unit: str) -> np.ndarray:
    """One metric of every row (N,), float32, NaN where undefined; as measured, or in robust z per plate."""
    if unit == Z:
        raw = metric_values(run_id, column, RAW)
        return robust_z(raw[:, None], scores_of(run_id).plate_index)[:, 0].astype(np.float32)
    vector = MetricVector.objects.filter(run=run_id, column=column).first() or _keep(run_id, column)
    return np.frombuffer(vector.values, "<f4")


def check_metric(run: ScoreRun, column: str, unit: str) -> None:
    """Raise BadValue unless the run's images have that metric, and it can be had in that unit."""
    if unit not in (RAW, Z):
        raise BadValue(f"{unit!r} is no unit of a metric; use raw or z.")
    if column not in columns_of(run.metric_set_id):
        raise BadValue(f"{run.experiment.name} has no metric {column!r}.")


@lru_cache(maxsize=32)
def columns_of(metric_set_id: int) -> tuple[str, ...]:
    """The columns of a metric set, which never change."""
    return tuple(MetricSet.objects.get(pk=metric_set_id).columns)


def metric_choices(experiment: Experiment, run: ScoreRun) -> dict[str, list[tuple[str, str]]]:
    """(column, title) of every metric that varies with the image, by channel."""
    channels = [channel.name for channel in experiment.channels.all()]
    choices: dict[str, list[tuple[str, str]]] = {}
    for column in columns_of(run.metric_set_id):
        metric, channel = meaning_of(column, tuple(channels))
        if not metric.is_setup:
            choices.setdefault(channel or "Metrics", []).append((column, title_of(column, channels)))
    return choices


def title_of(column: str, channels: list[str]) -> str:
    """What people call the metric of a column, without its channel: `saturated`, `correlation at 10`."""
    metric, _ = meaning_of(column, tuple(channels))
    if not metric.prefix:
        return metric.name  # other software's: as its column is called
    name, _, scale = metric.key.partition("_")[2].partition("_")
    words = " ".join(word if word.isupper() else word.lower() for word in CAMEL.findall(name))
    plain = words.removesuffix(" percent") if metric.unit == "%" else words
    return f"{plain} at {scale}" if scale else plain


def _keep(run_id: int, column: str) -> MetricVector:
    """Read a metric of all images of the run, and keep it with the run."""
    metric_set_id = ScoreRun.objects.values_list("metric_set", flat=True).get(pk=run_id)
    position = columns_of(metric_set_id).index(column) + 1  # PostgreSQL counts from 1
    (values,) = _packed(
        """
        SELECT string_agg(float4send(coalesce(m.values[%s], 'NaN')), ''::bytea ORDER BY s.score, s.image_id)
        FROM labeling_score s LEFT JOIN labeling_measurement m
            ON m.image_id = s.image_id AND m.metric_set_id = %s
        WHERE s.run_id = %s
        """,
        [position, metric_set_id, run_id],
    )
    little = np.frombuffer(values, ">f4").astype("<f4").tobytes()
    # Two who look at once keep the same numbers once.
    MetricVector.objects.bulk_create([MetricVector(run_id=run_id, column=column, values=little)], ignore_conflicts=True)
    return MetricVector.objects.get(run=run_id, column=column)


def _packed(sql: str, parameters: list[object]) -> tuple[bytes, ...]:
    assert Score._meta.db_table == "labeling_score"
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return tuple(bytes(part or b"") for part in cursor.fetchone())
