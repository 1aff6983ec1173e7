"""Bring measurements out of the database in the form learners take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imaging.metrics.foreign import columns_for_scoring
from labeling.models import Experiment, FeatureSpace, Image, MetricSet
from labeling.services.feature_spaces import newest_space
from labeling.services.measurements import load_measurements
from training.learners.reasons import EMBEDDING
from training.learners.reduce import N_COMPONENTS


@dataclass(frozen=True)
class FeatureTable:
    """Metrics of the measured, unbroken Images of an experiment, rows in the order of their ids."""

    image_ids: np.ndarray
    plate_ids: np.ndarray
    values: np.ndarray
    columns: tuple[str, ...]


def load_features(experiment: Experiment, metric_set: MetricSet) -> FeatureTable:
    """image_ids (N,), plate_ids (N,) and values (N, P) float32 of the columns that serve scoring.

    Those are the metrics registered `for_scoring`: many that say the same would drown the few that see a fibre. A
    set of other software has none of them; there all count that are no set-up.
    """
    channels = [channel.name for channel in experiment.channels.all()]
    columns = columns_for_scoring(metric_set.columns, channels)
    metrics = load_measurements(metric_set, columns, ready_only=True)
    return FeatureTable(*metrics, tuple(metric_set.columns[n] for n in columns))


def placed_embeddings(experiment: Experiment, image_ids: np.ndarray) -> np.ndarray | None:
    """The first components (N, 64) float32 of these Images in the experiment's space; None unless all are in it."""
    space = newest_space(experiment, FeatureSpace.Basis.EMBEDDINGS)
    if space is None or not np.isin(image_ids, space.image_ids).all():
        return None
    return space.vectors[np.searchsorted(space.image_ids, image_ids), :N_COMPONENTS]


def embedding_columns(n: int) -> tuple[str, ...]:
    """`Embedding_01` and so on: what learners call the components of what the network saw."""
    return tuple(f"{EMBEDDING}{number:02d}" for number in range(1, n + 1))


def plates_of(experiment: Experiment, image_ids: np.ndarray) -> np.ndarray:
    """The plate (N,) of each of these Images of the experiment."""
    places = Image.objects.of(experiment).order_by("id").values_list("id", "plate_id")
    ids, plates = np.array(list(places), np.int64).reshape(-1, 2).T
    return plates[np.searchsorted(ids, image_ids)]
