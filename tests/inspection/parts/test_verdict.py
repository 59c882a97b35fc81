"""The rule of a part's verdict: each combination of what may become of its views."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspection.models import Inspection
from inspection.parts.verdict import ViewState, decide_part

Outcome = Inspection.Outcome
states = st.lists(st.sampled_from(list(ViewState)), min_size=1, max_size=24)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_every_combination_follows_the_stated_rule(count: int) -> None:
    for combination in product(ViewState, repeat=count):
        outcome = decide_part(combination)
        if "defective" in combination:
            assert outcome == Outcome.DEFECTIVE, combination
        elif {"not_comparable", "refused", "missing"} & set(combination):
            assert outcome == Outcome.NOT_COMPARABLE, combination
        else:
            assert set(combination) == {"good"}
            assert outcome == Outcome.GOOD, combination


@given(states, st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_matters(views: list[ViewState], random: object) -> None:
    shuffled = list(views)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # of hypothesis' own kind
    assert decide_part(shuffled) == decide_part(views) == decide_part(views + views)


@given(states, st.sampled_from(list(ViewState)))
def test_one_more_view_never_makes_a_part_better(views: list[ViewState], more: ViewState) -> None:
    order = [Outcome.GOOD, Outcome.NOT_COMPARABLE, Outcome.DEFECTIVE]
    assert order.index(decide_part([*views, more])) >= order.index(decide_part(views))


@given(states)
def test_only_all_good_is_good(views: list[ViewState]) -> None:
    assert (decide_part(views) == Outcome.GOOD) == (set(views) == {ViewState.GOOD})


def test_what_nobody_saw_is_not_comparable() -> None:
    assert decide_part([]) == Outcome.NOT_COMPARABLE
