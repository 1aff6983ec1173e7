"""What to label next: never twice, no copies, one a well, some blindly, and no trust in a forest that is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from tests.training.tables import misleading_table, outlying_table
from training.learners.blend import BlendedLearner, TooFewLabels
from training.learners.queue import choose_next, plan_shares, trust_in_forest
from training.learners.verdicts import verdicts_of

TABLE = outlying_table()
NOTHING = verdicts_of(np.zeros(0, int), np.zeros(0, bool))


def choose(table=TABLE, verdicts=NOTHING, prediction=None, limit=20, seed=0, cutoff=None):
    return choose_next(
        *table.known, verdicts=verdicts, prediction=prediction, limit=limit, random_state=seed, cutoff=cutoff
    )


def predicted(table, verdicts):
    return BlendedLearner().fit(*table.known, verdicts, is_trial=True).predict(table.features, table.isolation)


def rows_of(choices):
    return [choice.row for choice in choices]


@given(st.integers(0, 300), st.integers(1, 40), st.integers(0, 3), st.booleans())
def test_labelled_images_never_come_again_and_none_comes_twice(n_seen, limit, seed, is_unsure):
    seen = np.random.default_rng(seed).permutation(300)[:n_seen]
    verdicts = verdicts_of(seen[: n_seen // 2], ~TABLE.is_bad[seen[: n_seen // 2]], seen[n_seen // 2 :])
    chosen = rows_of(choose(verdicts=verdicts, limit=limit, seed=seed))
    assert len(chosen) == len(set(chosen)) == min(limit, 300 - n_seen)
    assert not set(chosen) & set(seen.tolist())


def test_it_works_before_the_first_label_and_says_why():
    chosen = choose(limit=10)
    assert len(chosen) == 10
    assert len({choice.why for choice in chosen}) >= 3
    assert all(choice.why[0].isupper() and choice.why.endswith((".", "?")) for choice in chosen)


def test_the_same_seed_and_labels_give_the_same_list():
    assert choose(seed=4) == choose(seed=4)
    assert choose(seed=4) != choose(seed=5)


def test_one_image_a_well_while_others_wait():
    chosen = rows_of(choose(limit=90))
    assert len(set(TABLE.wells[chosen])) == 90  # of 100


def test_a_second_one_of_a_well_comes_when_no_other_waits():
    assert len(choose(limit=250)) == 250


def test_a_tenth_is_drawn_blindly():
    drawn = [choice.is_random for seed in range(40) for choice in choose(limit=5, seed=seed)]
    assert np.mean(drawn) == pytest.approx(0.1, abs=0.05)
    assert sum(choice.is_random for choice in choose(limit=50)) == 5


def test_the_blind_share_does_not_look_at_scores():
    rows = [c.row for seed in range(150) for c in choose(limit=10, seed=seed) if c.is_random]
    ranks = np.argsort(np.argsort(TABLE.isolation))[rows] / 300
    assert np.mean(ranks) == pytest.approx(0.5, abs=0.08)


def test_no_near_copies_in_a_batch():
    features, isolation = TABLE.features.copy(), TABLE.isolation.copy()
    suspect = int(isolation.argmin())
    features[:30], isolation[:30] = features[suspect], isolation[suspect]
    chosen = choose_next(
        features, isolation, np.arange(300), verdicts=NOTHING, prediction=None, limit=15, random_state=1, cutoff=None
    )
    assert sum(choice.row < 30 or choice.row == suspect for choice in chosen if not choice.is_random) == 1


def test_near_copies_of_unsure_images_wait_too():
    features = TABLE.features.copy()
    features[:30] = features[40]
    verdicts = verdicts_of(np.zeros(0, int), np.zeros(0, bool), np.array([40]))
    chosen = choose_next(
        features,
        TABLE.isolation,
        np.arange(300),
        verdicts=verdicts,
        prediction=None,
        limit=15,
        random_state=1,
        cutoff=None,
    )
    assert not [choice.row for choice in chosen if choice.row < 30 and not choice.is_random]


def test_top_suspects_are_among_the_first():
    worst = set(np.argsort(TABLE.isolation)[:10].tolist())
    assert worst & set(rows_of(choose(limit=10)))


def test_trust_follows_the_answers():
    suspects = np.argsort(TABLE.isolation)[:10]
    right, wrong = (verdicts_of(suspects, np.full(10, is_good)) for is_good in (False, True))
    trusts = [trust_in_forest(TABLE.isolation, verdicts) for verdicts in (wrong, NOTHING, right)]
    assert trusts == sorted(trusts)
    assert trusts[0] < 0.3 < 0.7 < trusts[2]
    shares = [plan_shares(trust, NOTHING, has_model=False) for trust in trusts]
    assert shares[0]["spread"] > shares[2]["spread"]
    assert all(sum(share.values()) == pytest.approx(1) for share in shares)


def test_with_a_model_it_asks_what_is_doubtful():
    verdicts = TABLE.some_labels(60)
    prediction = predicted(TABLE, verdicts)
    asked = rows_of(choose(verdicts=verdicts, prediction=prediction, limit=10))
    waiting = np.setdiff1d(np.arange(300), verdicts.rows)
    assert prediction.uncertainty[asked].mean() > 1.5 * prediction.uncertainty[waiting].mean()


def test_without_a_model_doubtful_means_near_the_cutoff():
    cutoff = float(np.quantile(TABLE.isolation, 0.3))
    near = [c.row for c in choose(limit=40, cutoff=cutoff) if c.why.startswith("Near the line")]
    assert len(near) > 2
    assert np.abs(TABLE.isolation[near] - cutoff).mean() < np.abs(TABLE.isolation - cutoff).mean() / 2


def answered(table, most, seed=0):
    """The scientist answers truly until there are `most` labels; returns rows and the last prediction."""
    rows, prediction = [], None
    while len(rows) < most:
        verdicts = table.labelled(np.array(rows, int))
        rows += rows_of(choose(table, verdicts, prediction, limit=10, seed=seed))
        try:
            prediction = predicted(table, table.labelled(np.array(rows, int)))
        except TooFewLabels:
            prediction = None
    return rows, prediction


@pytest.mark.parametrize("seed", [3, 4])
def test_a_forest_that_is_wrong_does_not_keep_the_bad_ones_hidden(seed):
    table = misleading_table(seed)
    assert average_precision_score(table.is_bad, -table.isolation) < 0.15
    rows, prediction = answered(table, 60, seed)
    rest = np.setdiff1d(np.arange(len(table.is_bad)), rows)
    assert average_precision_score(table.is_bad[rest], -prediction.good[rest]) > 0.8


def test_most_bad_ones_are_found_with_few_labels():
    rows, prediction = answered(TABLE, 50)
    known = prediction.good.copy()
    known[rows] = np.where(TABLE.is_bad[rows], -1, 2)
    assert average_precision_score(TABLE.is_bad, -known) > 0.95
    assert TABLE.is_bad[rows].mean() > 2 * TABLE.is_bad.mean()


def test_nothing_left_to_ask():
    everything = verdicts_of(np.arange(300), ~TABLE.is_bad)
    assert choose(verdicts=everything) == []
