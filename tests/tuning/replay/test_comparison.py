"""When two scores are the same score."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuning.replay.comparison import ELSEWHERE, SAME_MACHINE, deviation, tolerance_of

SCORES = st.floats(1e-6, 1e6)


@given(SCORES, SCORES, st.floats(1e-3, 1e3))
def test_a_deviation_is_a_share_whichever_comes_first_and_in_whatever_unit(
    one: float, other: float, unit: float
) -> None:
    assert deviation(one, one) == 0
    assert deviation(one, other) == deviation(other, one) == pytest.approx(abs(one - other) / max(one, other))
    assert deviation(one * unit, other * unit) == pytest.approx(deviation(one, other), abs=1e-12)


@given(SCORES, st.sampled_from([SAME_MACHINE, *ELSEWHERE.values()]))
def test_what_lies_beyond_the_tolerance_differs(score: float, tolerance: float) -> None:
    assert deviation(score, score * (1 + tolerance / 2)) < tolerance < deviation(score, score * (1 + 2 * tolerance))


def test_what_is_no_number_differs_from_everything() -> None:
    assert deviation(0.0, 0.0) == 0.0
    for wrong in (math.nan, math.inf):
        assert not deviation(1.0, wrong) <= tolerance_of("int8", same_machine=False)
    assert tolerance_of("other", same_machine=False) == ELSEWHERE["fp32"]
    assert tolerance_of("int8", same_machine=True) == SAME_MACHINE
