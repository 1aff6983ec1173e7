"""Bring measurements out of the database in the form learners take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imaging.metrics.foreign import columns_for_scoring
from labeling.models import Experiment, MetricSet
from labeling.services.measurements import load_measurements


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
