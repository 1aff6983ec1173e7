"""Bring the images of one experiment into the features another one learnt from: the same columns, axes and scale."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from labeling.models import Experiment, ScoreRun
from labeling.problems import BadValue, Conflict
from labeling.services.embeddings import current_embedding_set, load_embeddings
from labeling.services.feature_spaces import Axes, axes_of
from training.comparison import Scaling, check_scaling, compared_with
from training.learners.reasons import EMBEDDING
from training.learners.reduce import EmbeddingReducer
from training.learning import LearningTable


@dataclass(frozen=True)
class Frame:
    """What a model's features mean: `columns` in their order, how they were scaled, the version of the metrics, and
    of the embeddings among them the network and its axes (None where they cannot be carried over)."""

    experiment: str
    columns: tuple[str, ...]
    scaling: str
    metrics: str
    network: str = ""
    axes: Axes | None = None

    @property
    def n_metrics(self) -> int:
        return sum(not column.startswith(EMBEDDING) for column in self.columns)

    @property
    def has_embeddings(self) -> bool:
        return self.n_metrics < len(self.columns)


def frame_of(experiment: Experiment, run: ScoreRun, table: LearningTable) -> Frame:
    """That of an experiment's own features, which `run` was scored by."""
    scaling = run.parameters.get("scaling", Scaling.PLATE)
    frame = Frame(experiment.name, table.columns, scaling, run.metric_set.version)
    if not frame.has_embeddings:
        return frame
    embedding_set = current_embedding_set(experiment)
    # Only the space of embeddings scaled per plate keeps its axes.
    axes = axes_of(experiment) if scaling == Scaling.PLATE else None
    return replace(frame, network=embedding_set.network, axes=axes)


def check_same_channels(experiment: Experiment, other: Experiment) -> None:
    """Raise BadValue, naming them, unless both have the same channels in the same order."""
    ours, theirs = channels_of(experiment), channels_of(other)
    if ours != theirs:
        raise BadValue(
            f"{other.name} has the channels {', '.join(theirs)}, and {experiment.name} has {', '.join(ours)}. "
            "What was learnt on other channels cannot be used here."
        )


def channels_of(experiment: Experiment) -> tuple[str, ...]:
    """The names in their order; no query where they were prefetched."""
    return tuple(channel.name for channel in experiment.channels.all())


def features_in(frame: Frame, experiment: Experiment, run: ScoreRun, table: LearningTable) -> np.ndarray:
    """The images of a table as features (N, P) of a frame; a metric that does not vary here is 0, as typical as can be.

    Raises Conflict, in words, when this experiment was measured, scaled or looked at in another way.
    """
    if run.metric_set.version != frame.metrics:
        raise Conflict(
            f"{frame.experiment} has metrics of version {frame.metrics}, and {experiment.name} of version "
            f"{run.metric_set.version}; numbers of different versions do not compare."
        )
    if (scaling := run.parameters.get("scaling", Scaling.PLATE)) != frame.scaling:
        raise Conflict(
            f"{frame.experiment} was scaled by {frame.scaling}, and {experiment.name} by {scaling}. "
            f"Score this experiment by {frame.scaling} first."
        )
    metrics = frame.columns[: frame.n_metrics]
    if unknown := [column for column in metrics if column not in set(run.metric_set.columns)]:
        raise Conflict(f"{experiment.name} does not have the metric {unknown[0]} of {frame.experiment}.")
    features = np.zeros((len(table.image_ids), len(frame.columns)), np.float32)
    own = {column: n for n, column in enumerate(table.columns)}
    for n, column in enumerate(metrics):
        if column in own:
            features[:, n] = table.features[:, own[column]]
    if frame.has_embeddings:
        features[:, frame.n_metrics :] = _on_axes(frame, experiment, run, table)
    return features


def _on_axes(frame: Frame, experiment: Experiment, run: ScoreRun, table: LearningTable) -> np.ndarray:
    """What the network saw in these images, on the axes of the frame (N, K)."""
    if frame.axes is None:
        raise Conflict(
            f"What the network saw in {frame.experiment} was scaled by {frame.scaling}, or before its axes were kept; "
            "it cannot be carried over. Embed, score and train there again, scaled per plate."
        )
    embedding_set = current_embedding_set(experiment)
    if embedding_set is None or embedding_set.network != frame.network:
        raise Conflict(
            f"{frame.experiment} was looked at by the image network {frame.network}, and {experiment.name} "
            f"{'by another' if embedding_set else 'by none'}. Let the same network look at it first."
        )
    image_ids, vectors = load_embeddings(experiment)
    if missing := int((~np.isin(table.image_ids, image_ids)).sum()):
        raise Conflict(f"The network has not looked at {missing:,} images of {experiment.name} yet; let it first.")
    reducer = EmbeddingReducer()
    reducer.mean_, reducer.components_ = frame.axes.mean, frame.axes.components
    groups, reference = compared_with(experiment, table, check_scaling(frame.scaling))
    rows = np.searchsorted(image_ids, table.image_ids)
    return reducer.transform(vectors[rows], groups, reference)[:, : len(frame.columns) - frame.n_metrics]


def rescaled(isolation: np.ndarray, scale: tuple[float, float], to: tuple[float, float]) -> np.ndarray:
    """Isolation scores (N,) of one forest as another one would give them, by median and robust SD of each."""
    return (isolation - scale[0]) / scale[1] * to[1] + to[0]
