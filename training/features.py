"""Bring measurements out of the database in the form learners take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imaging.metrics import parse_column
from labeling.models import Experiment, FeatureSpace, Image, Measurement, MetricSet
from labeling.services.feature_spaces import newest_space
from training.learners.reduce import N_COMPONENTS
from training.learners.scaling import robust_features, varying_columns


@dataclass(frozen=True)
class FeatureTable:
    """Metrics of the measured, unbroken Images of an experiment, rows in the order of their ids."""

    image_ids: np.ndarray
    plate_ids: np.ndarray
    values: np.ndarray
    columns: tuple[str, ...]


def load_features(experiment: Experiment, metric_set: MetricSet) -> FeatureTable:
    """image_ids (N,), plate_ids (N,) and values (N, P) float32 of the columns that serve scoring.

    Those are the metrics registered `for_scoring`: many that say the same would drown the few that see a fibre.
    """
    channels = [channel.name for channel in experiment.channels.all()]
    columns = [n for n, column in enumerate(metric_set.columns) if parse_column(column, channels)[0].for_scoring]
    rows = (
        Measurement.objects.filter(metric_set=metric_set, image__state=Image.State.READY)
        .order_by("image_id")
        .values_list("image_id", "image__plate_id", "values")
    )
    ids, plates, values = [], [], []
    for image_id, plate_id, row in rows.iterator(chunk_size=5000):
        ids.append(image_id)
        plates.append(plate_id)
        values.append(np.asarray(row, np.float32)[columns])
    return FeatureTable(
        np.asarray(ids, np.int64),
        np.asarray(plates, np.int64),
        np.asarray(values, np.float32).reshape(len(ids), len(columns)),
        tuple(metric_set.columns[n] for n in columns),
    )


def load_learning_features(experiment: Experiment, metric_set: MetricSet) -> FeatureTable:
    """What a learner takes: metrics scaled within their plates, then what the network sees, scaled likewise.

    The metrics that vary, as signed logs of their robust z; then `Embedding_01` to `Embedding_64`, when the
    network has looked at every one of these Images. No column tells plates apart by its median or spread.
    """
    table = load_features(experiment, metric_set)
    varies = varying_columns(table.values) if len(table.values) else np.ones(len(table.columns), bool)
    metrics = robust_features(table.values[:, varies], table.plate_ids).astype(np.float32)
    columns = tuple(column for column, is_kept in zip(table.columns, varies, strict=True) if is_kept)
    reduced = placed_embeddings(experiment, table.image_ids)
    if reduced is not None:
        metrics = np.hstack([metrics, reduced])
        columns += embedding_columns(reduced.shape[1])
    return FeatureTable(table.image_ids, table.plate_ids, metrics, columns)


def placed_embeddings(experiment: Experiment, image_ids: np.ndarray) -> np.ndarray | None:
    """The first components (N, 64) float32 of these Images in the experiment's space; None unless all are in it."""
    space = newest_space(experiment, FeatureSpace.Basis.EMBEDDINGS)
    if space is None or not np.isin(image_ids, space.image_ids).all():
        return None
    return space.vectors[np.searchsorted(space.image_ids, image_ids), :N_COMPONENTS]


def embedding_columns(n: int) -> tuple[str, ...]:
    return tuple(f"Embedding_{number:02d}" for number in range(1, n + 1))


def plates_of(experiment: Experiment, image_ids: np.ndarray) -> np.ndarray:
    """The plate (N,) of each of these Images of the experiment."""
    places = Image.objects.of(experiment).order_by("id").values_list("id", "plate_id")
    ids, plates = np.array(list(places), np.int64).reshape(-1, 2).T
    return plates[np.searchsorted(ids, image_ids)]
