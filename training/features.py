"""Bring measurements out of the database in the form learners take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imaging.metrics.foreign import columns_for_scoring
from labeling.models import Experiment, Image, Measurement, MetricSet


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
