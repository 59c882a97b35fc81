"""The order: against its formula, written down once more, and what must hold whatever the numbers are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quality.review_queue.order import DISAGREEMENT, NEAR, NOVEL, Candidate, Model, is_blind_turn, rank

MODEL = Model(threshold=10.0, held_out=[4.0, 5.0, 6.0], training={"brightness": [90.0, 110.0], "focus": [3.0, 5.0]})
PLAIN = {"brightness": 100.0, "focus": 4.0}


def test_the_worth_is_the_sum_of_its_terms():
    # The held-out scores have a standard deviation of 1; brightness one of 10, focus one of 1.
    candidate = Candidate("a", 12.0, {"brightness": 130.0, "focus": 4.0})
    [place] = rank([candidate], [], MODEL)
    novelty = np.sqrt((3.0**2 + 0) / 2)
    assert place.worth == pytest.approx(1 / (1 + 2.0) + novelty / (1 + novelty))
    assert place.cause == NOVEL
    assert "brightness" in place.why
    [again] = rank([candidate], [{"brightness": 130.0, "focus": 4.0}], MODEL)
    assert again.worth == pytest.approx(1 / 3), "the same picture was reviewed"
    assert again.cause == NEAR
    assert again.why == "Its score lies 2.0 standard deviations of good parts above the threshold."


def test_what_another_version_says_outweighs_the_rest():
    near, far = Candidate("near", 10.1, PLAIN), Candidate("far", 2.0, PLAIN, "Version 2 says defective.")
    first, second = rank([near, far], [], MODEL)
    assert (first.key, first.cause, first.why) == ("far", DISAGREEMENT, "Version 2 says defective.")
    assert second.key == "near"


# Whole numbers: of those no two distances are nearly the same.
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30), st.integers(1, 500))
def test_alike_pictures_are_ordered_by_the_distance_from_the_threshold(scores, threshold):
    model = Model(threshold, [1.0, 2.0, 4.0])
    places = rank([Candidate(index, score) for index, score in enumerate(scores)], [], model)
    distances = [abs(scores[place.key] - threshold) for place in places]
    assert distances == sorted(distances)
    assert sorted(place.key for place in places) == list(range(len(scores)))
    assert all(0 < place.worth <= 3 for place in places)


@pytest.mark.parametrize("held_out", [[], [3.0], [3.0, 3.0]])
def test_scores_that_tell_no_spread(held_out):
    [place] = rank([Candidate("a", 9.0)], [], Model(10.0, held_out))
    assert place.worth == pytest.approx(1 / 2), "a tenth of the threshold is the unit"
    assert rank([], [], Model(0.0, [])) == []


@given(st.integers(1, 200), st.integers(0, 200))
def test_all_blind_parts_come_within_the_budget(budget, blind):
    done = done_blind = 0
    turns = []
    while done < budget:
        turn = is_blind_turn(done=done, done_blind=done_blind, open_blind=blind - done_blind, budget=budget)
        done, done_blind = done + 1, done_blind + turn
        turns.append(turn)
    assert done_blind == min(blind, budget)
    if 0 < blind <= budget // 2:
        gaps = np.diff([-1, *np.flatnonzero(turns)])
        assert gaps.min() >= 1
        assert gaps.max() <= budget // blind, "they are spread over the shift"
