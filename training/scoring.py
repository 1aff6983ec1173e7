"""Score an experiment with the isolation forest."""

from __future__ import annotations

from importlib.metadata import version

from labeling.models import Experiment, ScoreKind, ScoreRun, User
from labeling.problems import BadValue, Conflict
from labeling.services.measuring import current_metric_set
from labeling.services.scores import store_scores
from training.comparison import IN_WORDS, Scaling, check_scaling, compared_with
from training.features import load_features
from training.learners.isolation import IsolationScorer
from training.learners.scaling import CLIP
from training.learning import learning_table
from training.queue import renew_queue

DEFAULT_SEED = 20_080
# Fewer images than this say nothing about what is usual.
FEWEST_IMAGES = 4


def score_experiment(
    experiment: Experiment, *, by: User, seed: int = DEFAULT_SEED, scaling: str = Scaling.PLATE
) -> ScoreRun:
    """A new isolation-forest run over all measured Images, stored with everything needed to repeat it.

    Raises Conflict before anything is measured, BadValue when there is too little to compare, the scaling
    is none of ours, or a plate has too few control wells to be scaled by.
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
    scorer = IsolationScorer(random_state=seed)
    try:
        scorer.fit(table.values, groups, reference)
    except ValueError as problem:
        raise BadValue(f"{experiment.name} cannot be scored: {problem}") from problem
    used = [table.columns[n] for n in scorer.columns_]
    run = store_scores(
        experiment,
        kind=ScoreKind.ISOLATION,
        image_ids=table.image_ids,
        scores=scorer.score_samples(table.values, groups, reference),
        metric_set=metric_set,
        parameters={
            "method": "isolation forest",
            "scaling": scaling,
            "features": f"{IN_WORDS[scaling]}, signed log, clipped at {CLIP:g}",
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
    renew_queue(learning_table(experiment, run), run, seed=seed)
    return run
