"""How bad is the set still: exact for none found, and an interval that keeps its promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.learners.remaining import estimate_bad, plan_sample


def test_none_of_sixty_is_at_most_4_9_percent():
    plan = plan_sample(np.linspace(-0.5, -0.3, 3000), 60)
    estimate = estimate_bad(plan.strata_sizes, plan.strata_drawn, np.zeros(5))
    assert estimate.high == pytest.approx(1 - 0.05 ** (1 / 60), abs=1e-4)
    assert estimate.sentence == "0 bad of 60 drawn: at most 4.9 % (146 images)."
    assert (estimate.low, estimate.count_low) == (0, 0)


def test_the_worst_spread_over_unequal_strata_is_bounded():
    even = estimate_bad([500, 500], [30, 30], [0, 0]).high
    uneven = estimate_bad([900, 100], [30, 30], [0, 0]).high
    assert uneven > even
    # All bad ones in the large stratum: that case must lie inside.
    assert uneven == pytest.approx(0.9 * (1 - 0.05 ** (1 / 30)))


def test_all_drawn_is_certain():
    estimate = estimate_bad([40, 10], [40, 10], [2, 3])
    assert estimate.low == estimate.high == estimate.share == 0.1
    assert "all were drawn" in estimate.sentence


def test_some_found_gives_both_bounds():
    estimate = estimate_bad([1000] * 5, [12] * 5, [3, 1, 0, 0, 0])
    assert estimate.share == pytest.approx(4 / 60)
    assert 0.005 < estimate.low < estimate.share < estimate.high < 0.2
    assert estimate.sentence.startswith("4 bad of 60 drawn: about 6.7 %, between ")


def test_good_ones_among_the_flagged_are_named_so():
    assert estimate_bad([50], [10], [0], what="good").sentence.startswith("0 good of 10 drawn")


@pytest.mark.parametrize(
    ("sizes", "drawn", "bad"), [([10], [11], [0]), ([10], [5], [6]), ([10, 10], [5, 0], [0, 0]), ([10], [5], [-1])]
)
def test_numbers_that_contradict_each_other_are_refused(sizes, drawn, bad):
    with pytest.raises(ValueError, match="stratum"):
        estimate_bad(sizes, drawn, bad)


@given(st.integers(1, 400), st.integers(1, 100), st.integers(1, 8), st.integers(0, 5))
def test_a_sample_holds_each_image_once_and_every_stratum(n_images, n, n_strata, seed):
    scores = np.random.default_rng(seed).normal(size=n_images).round(1)
    plan = plan_sample(scores, n, n_strata, seed)
    assert len(set(plan.rows.tolist())) == len(plan.rows) == min(n, n_images)
    assert plan.strata_sizes.sum() == n_images
    assert (plan.strata_drawn >= 1).all()
    assert (plan.strata_drawn <= plan.strata_sizes).all()
    assert plan.weights.sum() == pytest.approx(n_images)
    means = [scores[plan.rows[plan.stratum == number]].max() for number in range(len(plan.strata_sizes))]
    assert means == sorted(means)  # worst scores first


def test_the_same_seed_draws_the_same_images():
    scores = np.random.default_rng(0).normal(size=500)
    assert (
        plan_sample(scores, 30, random_state=2).rows.tolist() == plan_sample(scores, 30, random_state=2).rows.tolist()
    )


@given(st.lists(st.tuples(st.integers(1, 200), st.integers(1, 40), st.integers(0, 40)), min_size=1, max_size=5))
def test_the_interval_holds_what_was_seen(strata):
    sizes = [size for size, _, _ in strata]
    drawn = [min(n, size) for size, n, _ in strata]
    bad = [min(k, n) for n, (_, _, k) in zip(drawn, strata, strict=True)]
    estimate = estimate_bad(sizes, drawn, bad)
    assert 0 <= estimate.low <= estimate.share <= estimate.high <= 1
    assert sum(bad) <= estimate.count_high <= sum(sizes)


@pytest.mark.parametrize("n", [30, 60, 150])
@pytest.mark.parametrize("share", [0.005, 0.02, 0.052, 0.1, 0.3])
@pytest.mark.parametrize("is_sorted", [True, False])
def test_the_interval_covers_the_truth(n, share, is_sorted):
    """At least 93 % of 500 times, whether the score knows the bad ones (they lie at its low end) or not."""
    rng = np.random.default_rng(round(1000 * share) + n)
    n_images = 2000
    is_bad = np.zeros(n_images, bool)
    is_bad[: round(share * n_images)] = True
    scores = np.arange(n_images) + rng.normal(0, 300, n_images) if is_sorted else rng.normal(size=n_images)
    covered = 0
    for seed in range(500):
        plan = plan_sample(scores, n, 5, seed)
        found = np.bincount(plan.stratum, weights=is_bad[plan.rows], minlength=5)
        estimate = estimate_bad(plan.strata_sizes, plan.strata_drawn, found)
        covered += estimate.low <= is_bad.mean() <= estimate.high
    assert covered >= 0.93 * 500
