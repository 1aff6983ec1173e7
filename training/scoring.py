"""Score an experiment with the isolation forest."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np

from labeling.models import Experiment, ScoreKind, ScoreRun, User
from labeling.problems import BadValue, Conflict
from labeling.services.embeddings import current_embedding_set
from labeling.services.metric_sets import current_metric_set
from labeling.services.scores import store_scores
from training import comparison
from training.comparison import (
    IN_WORDS,
    NO_EMBEDDINGS,
    Scaling,
    check_scaling,
    compared_with,
    seen_by_network,
)
from training.embedding import place_by_metrics
from training.features import load_features
from training.learners.isolation import IsolationScorer
from training.learners.scaling import CLIP
from training.learning import learning_table
from training.queue import renew_queue
from training.reasons import keep_reasons

DEFAULT_SEED = 20_080
# Fewer images than this say nothing about what is usual.
FEWEST_IMAGES = 4


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
    groups, reference = compared_with(experiment, table, scaling)
    seen = seen_by_network(experiment, table, scaling, groups, reference, seed) if embeddings else None
    scorer = IsolationScorer(random_state=seed)
    try:
        scorer.fit(table.values, groups, reference, seen)
    except ValueError as problem:
        raise BadValue(f"{experiment.name} cannot be scored: {problem}") from problem
    if seen is None:
        place_by_metrics(experiment, table, metric_set)
    used = [table.columns[n] for n in scorer.columns_]
    scores = scorer.score_samples(table.values, groups, reference, seen)
    run = store_scores(
        experiment,
        kind=ScoreKind.ISOLATION,
        image_ids=table.image_ids,
        scores=scores,
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
    known = learning_table(experiment, run)
    queue = renew_queue(known, run, seed=seed)
    keep_reasons(run, known, scores, scorer.forest_, queue=queue)
    return run


def _embeddings_in_words(experiment: Experiment, seen: np.ndarray | None, *, asked: bool) -> str:
    """What a run says of the network's part in it."""
    if not asked:
        return f"{NO_EMBEDDINGS}: left out on request"
    if seen is None:
        return f"{NO_EMBEDDINGS}: not every image was looked at, or a plate has fewer than {comparison.FEWEST_TO_EMBED}"
    embedding_set = current_embedding_set(experiment)
    return f"{seen.shape[1]} principal components of {embedding_set.network}, scaled as the metrics"
