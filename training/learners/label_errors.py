"""Labels that everything else contradicts: worth a second look."""

from __future__ import annotations

import numpy as np

from training.learners.blend import BlendedLearner, TooFewLabels
from training.learners.folds import grouped_folds
from training.learners.verdicts import Verdicts

# Only strong contradictions: a list of doubtful cases would be as long as the labels.
STRONG = 0.85
FEWEST_OF_EACH = 5
ROUNDS = 2


def suspicious_labels(
    features: np.ndarray,
    isolation: np.ndarray,
    wells: np.ndarray,
    verdicts: Verdicts,
    *,
    random_state: int,
    classifier: str = "committee",
    threshold: float = STRONG,
) -> list[tuple[int, float]]:
    """Labels that models trained without them strongly contradict, the most suspicious first.

    Parameters
    ----------
    features (N, P), isolation (N,), wells (N,) : as for `BlendedLearner.fit`.
    threshold : how sure the models must be, 0.5 to 1.

    Returns
    -------
    (index into `verdicts.rows`, probability that the label is wrong). The probability is the mean of several
    cross-validations whose folds keep wells together, so a field never vouches for its neighbour. Empty while
    there are fewer than 5 labels of each verdict.
    """
    if min(verdicts.n_good, verdicts.n_bad) < FEWEST_OF_EACH:
        return []
    wrong = np.zeros((ROUNDS, len(verdicts.rows)))
    for repeat in range(ROUNDS):
        seed = random_state + repeat
        for train, held in grouped_folds(verdicts.is_good, wells[verdicts.rows], n_folds=5, random_state=seed):
            learner = BlendedLearner(classifier=classifier, random_state=seed)
            try:
                learner.fit(features, isolation, wells, verdicts.take(train), is_trial=True)
            except TooFewLabels:
                continue
            rows = verdicts.rows[held]
            good = learner.predict(features[rows], isolation[rows]).classifier
            wrong[repeat, held] = np.where(verdicts.is_good[held], 1 - good, good)
    mean = wrong.mean(axis=0)
    order = np.argsort(-mean, kind="stable")
    return [(int(index), float(mean[index])) for index in order if mean[index] >= threshold]
