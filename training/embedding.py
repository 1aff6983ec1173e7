"""After the network has looked: put every image in its place among the others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from labeling.models import EmbeddingSet, Experiment, FeatureSpace, Job, MetricSet, User
from labeling.problems import BadValue, Conflict
from labeling.services.embedding import embed_experiment
from labeling.services.embeddings import current_embedding_set, load_embeddings
from labeling.services.feature_spaces import Axes, store_feature_space
from training.features import FeatureTable, plates_of
from training.learners.reduce import N_COMPONENTS, EmbeddingReducer

Progress = Callable[[int, int], None]
SPACE_SEED = 20_080


def embed_and_place(experiment: Experiment, *, by: User, progress: Progress | None = None) -> str:
    """Embed what is due, then put all embedded Images into one plate-centred space. Returns what was done."""
    done = embed_experiment(experiment, by=by, progress=progress)
    embedding_set = current_embedding_set(experiment)
    if embedding_set is not None and not _is_placed(embedding_set):
        place_images(embedding_set)
    return done


def embed_or_explain(job: Job, progress: Progress) -> str:
    """What a job does. Where it stands before scoring, what the network cannot do never stops the line."""
    try:
        return embed_and_place(job.experiment, by=job.requested_by, progress=progress)
    except (BadValue, Conflict) as reason:
        if not job.followed_by:
            raise
        return f"Left out: {reason}"


def place_images(embedding_set: EmbeddingSet, *, seed: int = SPACE_SEED) -> FeatureSpace:
    """Reduce the vectors of a set within their plates and keep them as the experiment's space."""
    experiment = embedding_set.experiment
    image_ids, vectors = load_embeddings(experiment)
    reducer = EmbeddingReducer(random_state=seed)
    reduced = reducer.fit_transform(vectors, plates_of(experiment, image_ids))
    return store_feature_space(
        experiment,
        FeatureSpace.Basis.EMBEDDINGS,
        image_ids,
        reduced,
        parameters=_parameters(embedding_set) | {"explained": round(reducer.explained_share_, 4)},
        axes=Axes(reducer.mean_, reducer.components_),
    )


def place_by_metrics(
    experiment: Experiment, table: FeatureTable, metric_set: MetricSet, *, seed: int = SPACE_SEED
) -> FeatureSpace:
    """Keep where the images lie by their metrics: what "more like this" compares while the network has not looked."""
    reducer = EmbeddingReducer(random_state=seed)
    return store_feature_space(
        experiment,
        FeatureSpace.Basis.METRICS,
        table.image_ids,
        reducer.fit_transform(table.values, table.plate_ids),
        parameters={"metric_set": metric_set.pk, "scaling": "robust z per plate, signed log", "seed": seed},
    )


def _is_placed(embedding_set: EmbeddingSet) -> bool:
    newest = embedding_set.experiment.feature_spaces.filter(basis=FeatureSpace.Basis.EMBEDDINGS).first()
    if newest is None:
        return False
    return _parameters(embedding_set).items() <= newest.parameters.items()


def _parameters(embedding_set: EmbeddingSet) -> dict[str, object]:
    return {
        "network": embedding_set.network,
        "embedding_set": embedding_set.pk,
        "vectors": embedding_set.embeddings.count(),
        "scaling": "robust z per plate, signed log",
        "components": N_COMPONENTS,
        "seed": SPACE_SEED,
    }


def reduced_embeddings(
    experiment: Experiment, image_ids: np.ndarray, groups: np.ndarray, reference: np.ndarray | None, *, seed: int
) -> np.ndarray | None:
    """The components (N, K) of these images scaled in those groups; None unless all of them have a vector."""
    embedded_ids, vectors = load_embeddings(experiment)
    rows = np.searchsorted(embedded_ids, image_ids)
    if not len(embedded_ids) or rows.max() >= len(embedded_ids) or (embedded_ids[rows] != image_ids).any():
        return None
    return EmbeddingReducer(random_state=seed).fit_transform(vectors[rows], groups, reference)
