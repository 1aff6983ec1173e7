"""Several people's verdicts become one: majority, weights, and no verdict where they are even."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.learners.verdicts import VERDICTS, Vote, resolve_votes


def votes_on(row, *verdicts):
    return [Vote(row, person, verdict) for person, verdict in enumerate(verdicts)]


def test_one_voice_has_full_weight():
    verdicts = resolve_votes([*votes_on(4, "bad"), *votes_on(2, "good")])
    assert verdicts.rows.tolist() == [4, 2]  # in the order of labelling
    assert verdicts.is_good.tolist() == [False, True]
    assert verdicts.weights.tolist() == [1, 1]
    assert verdicts.disagreement.tolist() == [0, 0]


def test_the_majority_decides_with_less_weight():
    verdicts = resolve_votes(votes_on(0, "good", "bad", "good"))
    assert verdicts.is_good.tolist() == [True]
    assert verdicts.weights.tolist() == pytest.approx([1 / 3])
    assert verdicts.disagreement.tolist() == pytest.approx([2 / 3])


def test_someone_unsure_takes_weight_away():
    alone, with_doubt = resolve_votes(votes_on(0, "bad")), resolve_votes(votes_on(0, "bad", "unsure"))
    assert 0 < with_doubt.weights[0] < alone.weights[0]
    assert with_doubt.disagreement[0] > alone.disagreement[0]


def test_a_tie_is_unsure_with_full_disagreement():
    verdicts = resolve_votes([*votes_on(7, "good", "bad"), *votes_on(8, "unsure")])
    assert len(verdicts.rows) == 0
    assert verdicts.unsure_rows.tolist() == [7, 8]
    assert verdicts.unsure_disagreement.tolist() == [1, 0]


def test_a_second_vote_of_one_person_replaces_the_first():
    assert resolve_votes([Vote(0, 5, "bad"), Vote(0, 5, "good")]).is_good.tolist() == [True]


def test_a_word_that_is_no_verdict_is_refused():
    with pytest.raises(ValueError, match="'fine' is no verdict"):
        resolve_votes([Vote(0, 0, "fine")])


@given(st.lists(st.builds(Vote, st.integers(0, 5), st.integers(0, 3), st.sampled_from(VERDICTS)), max_size=30))
def test_every_image_is_either_decided_or_unsure(votes):
    verdicts = resolve_votes(votes)
    assert sorted(verdicts.seen_rows.tolist()) == sorted({vote.row for vote in votes})
    assert ((verdicts.weights > 0) & (verdicts.weights <= 1)).all()
    assert ((verdicts.disagreement >= 0) & (verdicts.disagreement < 1)).all()
