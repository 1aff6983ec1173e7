"""Kappa by hand, as scikit-learn has it, and with an interval that holds what it promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from labeling.statistics.agreement import ENOUGH, VERDICTS, agreement_of


def two_by_two(both_good, good_bad, bad_good, both_bad):
    return np.array([[both_good, good_bad, 0], [bad_good, both_bad, 0], [0, 0, 0]])


def as_verdicts(table):
    """The two lists of verdicts that a table counts."""
    pairs = [(one, other) for one in range(3) for other in range(3) for _ in range(table[one][other])]
    return [VERDICTS[one] for one, _ in pairs], [VERDICTS[other] for _, other in pairs]


def test_kappa_by_hand():
    # 35 of 50 alike: 0.7. By chance 0.5 x 0.6 + 0.5 x 0.4 = 0.5. (0.7 - 0.5) / (1 - 0.5) = 0.4.
    agreement = agreement_of(two_by_two(20, 5, 10, 15))
    assert (agreement.n, agreement.n_agreed, agreement.share) == (50, 35, 0.7)
    assert agreement.kappa == pytest.approx(0.4)


def test_a_table_of_a_textbook():
    # Fleiss, Statistical Methods for Rates and Proportions, table 18.1: kappa 0.68.
    assert agreement_of(np.array([[75, 1, 4], [5, 4, 1], [0, 0, 10]])).kappa == pytest.approx(0.676, abs=0.001)


def test_for_many_images_the_interval_is_that_of_cohen():
    # p_o 0.7, p_e 0.5, n 5,000: the standard error is the root of 0.7 x 0.3 / (5,000 x 0.25) = 0.01296.
    agreement = agreement_of(100 * two_by_two(20, 5, 10, 15))
    assert (agreement.low, agreement.high) == pytest.approx((0.4 - 1.96 * 0.01296, 0.4 + 1.96 * 0.01296), abs=0.001)


@given(st.lists(st.integers(0, 30), min_size=9, max_size=9))
def test_it_is_what_scikit_learn_says(counts):
    table = np.array(counts).reshape(3, 3)
    agreement = agreement_of(table)
    first, second = as_verdicts(table)
    if len(set(first) | set(second)) < 2:
        assert agreement.kappa is None
        return
    assert agreement.kappa == pytest.approx(cohen_kappa_score(first, second), abs=1e-9)
    assert -1 <= agreement.low <= agreement.kappa <= agreement.high <= 1


@given(st.lists(st.integers(0, 30), min_size=9, max_size=9))
def test_it_does_not_matter_who_is_first(counts):
    table = np.array(counts).reshape(3, 3)
    one, other = agreement_of(table), agreement_of(table.T)
    assert (one.kappa, one.low, one.high) == pytest.approx((other.kappa, other.low, other.high), nan_ok=True) or (
        one.kappa is None and other.kappa is None
    )


def test_one_single_verdict_is_undefined_and_said_in_words():
    agreement = agreement_of(two_by_two(40, 0, 0, 0))
    assert (agreement.kappa, agreement.low, agreement.high) == (None, None, None)
    assert "Only “good” was ever said: kappa is undefined" in agreement.in_words
    assert str(agreement) == "kappa undefined"


def test_nothing_judged_twice():
    agreement = agreement_of(np.zeros((3, 3), int))
    assert (agreement.n, agreement.share, agreement.kappa) == (0, None, None)
    assert agreement.in_words == "No image was judged twice."


def test_few_images_are_too_few_to_say():
    assert "5 images are too few to say" in agreement_of(two_by_two(3, 0, 1, 1)).in_words
    assert "too few" not in agreement_of(two_by_two(ENOUGH, 0, 0, ENOUGH)).in_words


def test_full_agreement_is_not_certain():
    few, many = agreement_of(two_by_two(5, 0, 0, 5)), agreement_of(two_by_two(500, 0, 0, 500))
    assert (few.kappa, few.high) == (pytest.approx(1), pytest.approx(1))
    assert few.low < 0.6
    assert 0.98 < many.low < 1
    assert many.in_words == "Almost perfect agreement."


def test_words_follow_the_interval():
    words = agreement_of(two_by_two(25, 3, 4, 16)).in_words
    assert words == "Substantial agreement; its interval reaches from moderate to almost perfect."
    assert agreement_of(two_by_two(20, 20, 20, 20)).in_words.startswith("No better than chance; ")


def raters(random, n, share_bad, kappa, trials):
    """Tables of two raters who agree beyond chance in `kappa` of the images and guess alike often in the others."""
    truth = random.random((trials, n)) < share_bad
    knows = random.random((trials, n)) < kappa
    first = truth
    second = np.where(knows, first, random.random((trials, n)) < share_bad)
    counts = [((first == one) & (second == other)).sum(axis=1) for one in (False, True) for other in (False, True)]
    return np.stack(counts, axis=1)


@pytest.mark.parametrize("n", [30, 60, 200])
@pytest.mark.parametrize("share_bad", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("kappa", [0.2, 0.6, 0.9])
def test_the_interval_covers_the_agreement_of_simulated_raters(n, share_bad, kappa):
    tables = raters(np.random.default_rng(n), n, share_bad, kappa, trials=1000)
    found = [one for one in (agreement_of(two_by_two(*counts)) for counts in tables) if one.kappa is not None]
    covered = np.mean([one.low <= kappa <= one.high for one in found])
    assert covered >= 0.91
    assert np.mean([one.kappa for one in found]) == pytest.approx(kappa, abs=0.06)
