"""Do labels of earlier experiments help a new one? Simulated plates of different seeds, with and without.

`python -m benchmarks.earlier`: average precision of what is not labelled on each plate, after a few
random labels of its own, alone and beside 60 labels each of two other plates, which weigh a quarter.
"""

from __future__ import annotations

import sys
from itertools import product

import numpy as np
from sklearn.metrics import average_precision_score

from benchmarks.learning_data import LearningSet, simulated_plate
from benchmarks.metrics import print_table
from training.learners.blend import BlendedLearner, forest_scale
from training.learners.verdicts import verdicts_of

PLATES = (201, 202, 203, 301, 302, 303)
OWN_LABELS = (10, 30, 60, 100)
EARLIER_LABELS, N_EARLIER = 60, 2
DRAWS = 3


def run() -> None:
    sets = {seed: simulated_plate(seed, with_embeddings=False, only_varying=False) for seed in PLATES}
    gains: dict[int, list[tuple[float, float]]] = {n: [] for n in OWN_LABELS}
    for (place, seed), n, draw in product(enumerate(PLATES), OWN_LABELS, range(DRAWS)):
        others = [sets[PLATES[(place + 1 + k) % len(PLATES)]] for k in range(N_EARLIER)]
        gains[n].append(_one(sets[seed], others, n, draw))
    rows = []
    for n, pairs in gains.items():
        alone, beside = np.array(pairs).T
        gain = beside - alone
        error = gain.std(ddof=1) / np.sqrt(len(gain))
        rows.append(
            [
                str(n),
                f"{alone.mean():.3f}",
                f"{beside.mean():.3f}",
                f"{gain.mean():+.3f} +- {1.96 * error:.3f}",
                f"{(gain > 0).mean():.0%}",
            ]
        )
    print_table(["own labels", "alone", "with earlier", "gain (95 %)", "better in"], rows)


def _one(one: LearningSet, others: list[LearningSet], n: int, draw: int) -> tuple[float, float]:
    """Average precision of the rest, alone and beside the others' labels."""
    rng = np.random.default_rng((draw, n))
    rows = _labels(one, n, rng)
    verdicts = verdicts_of(rows, ~one.is_bad[rows])
    rest = np.setdiff1d(np.arange(len(one.is_bad)), rows)
    scale, earlier = forest_scale(one.outlook), []
    for other in others:
        theirs, (middle, spread) = _labels(other, EARLIER_LABELS, rng), forest_scale(other.outlook)
        isolation = (other.outlook - middle) / spread * scale[1] + scale[0]
        earlier.append((other.features, isolation, verdicts_of(theirs, ~other.is_bad[theirs])))
    found = []
    for given in (None, earlier):
        learner = BlendedLearner(random_state=draw).fit(one.features, one.outlook, one.wells, verdicts, earlier=given)
        bad = 1 - learner.predict(one.features, one.outlook).good
        found.append(float(average_precision_score(one.is_bad[rest], bad[rest])))
    return found[0], found[1]


def _labels(one: LearningSet, n: int, rng: np.random.Generator) -> np.ndarray:
    """So many labels, a third of them of the worst by the forest, as a scientist meets them; a bad one among them."""
    worst = np.argsort(one.isolation)[: len(one.isolation) // 5]
    first = rng.choice(worst, n // 3, replace=False)
    rows = np.concatenate(
        [first, rng.choice(np.setdiff1d(np.arange(len(one.is_bad)), first), n - len(first), replace=False)]
    )
    if not one.is_bad[rows].any():
        rows[0] = rng.choice(np.flatnonzero(one.is_bad))
    return rows


if __name__ == "__main__":
    sys.exit(run())
