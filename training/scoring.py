"""Score an experiment with the isolation forest."""

from __future__ import annotations

from enum import StrEnum
from importlib.metadata import version

import numpy as np

from labeling.models import Experiment, Image, ScoreKind, ScoreRun, User, Well
from labeling.problems import BadValue, Conflict
from labeling.services.embeddings import current_embedding_set
from labeling.services.measuring import current_metric_set
from labeling.services.scores import store_scores
from training.embedding import place_by_metrics, reduced_embeddings
from training.features import FeatureTable, load_features, placed_embeddings
from training.learners.isolation import IsolationScorer
from training.learners.reduce import N_COMPONENTS
from training.learners.scaling import CLIP

DEFAULT_SEED = 20_080
# Fewer images than this say nothing about what is usual.
FEWEST_IMAGES = 4
# A median and a spread of fewer control fields are chance.
FEWEST_CONTROLS = 4
# Of a plate, before what the network sees may change scores: three for each component. On a real row of 72 fields it
# put a phenotype above the fibres; on plates of 384 it found more of what is bad (docs/embeddings.md).
FEWEST_TO_EMBED = 3 * N_COMPONENTS


class Scaling(StrEnum):
    """What an image is compared with before the forest sees it."""

    PLATE = "plate"  # a plate's own images: batch effects between plates fall away
    CONTROLS = "controls"  # the plate's control wells, for plates whose samples differ as a whole
    EXPERIMENT = "experiment"  # everything, for plates that are known to be alike


IN_WORDS = {
    Scaling.PLATE: "robust z per plate",
    Scaling.CONTROLS: "robust z by the control wells of each plate",
    Scaling.EXPERIMENT: "robust z over the experiment",
}


def score_experiment(
    experiment: Experiment,
    *,
    by: User,
    seed: int = DEFAULT_SEED,
    scaling: str = Scaling.PLATE,
    embeddings: bool = True,
) -> ScoreRun:
    """A new isolation-forest run over all measured Images, stored with everything needed to repeat it.

    What the network saw stands beside the metrics when it has looked at all of them, plates are large enough, and
    `embeddings` is not False; the run says whether. Raises Conflict before anything is measured, BadValue when
    there is too little to compare, the scaling is none of ours, or a plate has too few control wells to be scaled
    by.
    """
    scaling = check_scaling(scaling)
    metric_set = current_metric_set(experiment)
    if metric_set is None:
        raise Conflict(f"{experiment.name} has no metrics yet; measure it first.")
    table = load_features(experiment, metric_set)
    if len(table.image_ids) < FEWEST_IMAGES:
        raise BadValue(
            f"{experiment.name} has {len(table.image_ids)} measured images; "
            f"a score compares images and needs at least {FEWEST_IMAGES}."
        )
    groups, reference = _compared_with(experiment, table, scaling)
    seen = _seen_by_network(experiment, table, scaling, groups, reference, seed) if embeddings else None
    scorer = IsolationScorer(random_state=seed)
    try:
        scorer.fit(table.values, groups, reference, seen)
    except ValueError as problem:
        raise BadValue(f"{experiment.name} cannot be scored: {problem}") from problem
    if seen is None:
        place_by_metrics(experiment, table, metric_set)
    used = [table.columns[n] for n in scorer.columns_]
    return store_scores(
        experiment,
        kind=ScoreKind.ISOLATION,
        image_ids=table.image_ids,
        scores=scorer.score_samples(table.values, groups, reference, seen),
        metric_set=metric_set,
        parameters={
            "method": "isolation forest",
            "scaling": scaling,
            "features": f"{IN_WORDS[scaling]}, signed log, clipped at {CLIP:g}",
            "embeddings": _embeddings_in_words(experiment, seen, asked=embeddings),
            "missing": "0 after scaling",
            "n_estimators": scorer.n_estimators,
            "max_samples": scorer.forest_.max_samples_,
            "columns": used,
            "dropped": sorted(set(metric_set.columns) - set(used)),
            "versions": {name: version(name) for name in ("scikit-learn", "numpy")},
        },
        seed=seed,
        by=by,
    )


def check_scaling(scaling: str) -> Scaling:
    """The scaling of that name. Raises BadValue for another word."""
    if scaling not in list(Scaling):
        raise BadValue(f"{scaling!r} is no scaling; use {', '.join(Scaling)}.")
    return Scaling(scaling)


def _compared_with(
    experiment: Experiment, table: FeatureTable, scaling: Scaling
) -> tuple[np.ndarray, np.ndarray | None]:
    """The group each image is scaled in (N,), and which images of it tell what is usual (None: all)."""
    if scaling == Scaling.EXPERIMENT:
        return np.zeros(len(table.image_ids), int), None
    if scaling == Scaling.PLATE:
        return table.plate_ids, None
    in_controls = Image.objects.of(experiment).filter(well__role=Well.Role.CONTROL)
    is_control = np.isin(table.image_ids, list(in_controls.values_list("id", flat=True)))
    for plate in experiment.plates.all():
        n = int((is_control & (table.plate_ids == plate.pk)).sum())
        if n < FEWEST_CONTROLS and (table.plate_ids == plate.pk).any():
            raise BadValue(
                f"Plate {plate.barcode} has {n} measured fields in control wells; scaling by controls needs "
                f"{FEWEST_CONTROLS}. Apply a plate map, or scale per plate."
            )
    return table.plate_ids, is_control


def _seen_by_network(
    experiment: Experiment,
    table: FeatureTable,
    scaling: Scaling,
    groups: np.ndarray,
    reference: np.ndarray | None,
    seed: int,
) -> np.ndarray | None:
    """Reduced embeddings (N, K), scaled as the metrics are; None where plates are small or images were not seen."""
    if np.unique(table.plate_ids, return_counts=True)[1].min() < FEWEST_TO_EMBED:
        return None
    if scaling == Scaling.PLATE:
        return placed_embeddings(experiment, table.image_ids)
    return reduced_embeddings(experiment, table.image_ids, groups, reference, seed=seed)


def _embeddings_in_words(experiment: Experiment, seen: np.ndarray | None, *, asked: bool) -> str:
    """What a run says of the network's part in it."""
    if not asked:
        return "none: left out on request"
    if seen is None:
        return f"none: not every image was looked at, or a plate has fewer than {FEWEST_TO_EMBED}"
    embedding_set = current_embedding_set(experiment)
    return f"{seen.shape[1]} principal components of {embedding_set.network}, scaled as the metrics"
