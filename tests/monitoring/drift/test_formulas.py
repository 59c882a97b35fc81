"""The formulas of control charts, against published tables, scipy and simulation."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from monitoring.drift import formulas


@pytest.mark.parametrize(("factor", "length"), [(2.615, 500), (2.492, 370)])
def test_run_lengths_are_those_of_the_literature(factor: float, length: float) -> None:
    """Montgomery, "Introduction to Statistical Quality Control", table of ARL for weight 0.05."""
    assert formulas.run_length(factor) == pytest.approx(length, rel=0.01)


def test_the_limit_has_the_run_length_that_was_asked_for() -> None:
    for rate in (1 / 370, 1 / 10_000, 1 / 650_000):
        assert formulas.run_length(formulas.limit_factor(rate)) == pytest.approx(1 / rate, rel=1e-3)


def test_the_run_length_is_that_of_a_simulation() -> None:
    factor = formulas.limit_factor(1 / 200)
    limit = factor * math.sqrt(formulas.WEIGHT / (2 - formulas.WEIGHT))
    generator = np.random.default_rng(0)
    average, lengths, running = np.zeros(4000), np.zeros(4000), np.ones(4000, dtype=bool)
    while running.any():
        average = formulas.moving_average(average, generator.standard_normal(4000))  # type: ignore[arg-type, assignment]
        lengths += running
        running &= np.abs(average) <= limit
    assert lengths.mean() == pytest.approx(200, rel=0.06)


def test_normal_scores_of_the_reference_are_those_of_its_ranks() -> None:
    reference = sorted(np.random.default_rng(0).lognormal(size=50).tolist())
    scores = [formulas.normal_score(value, reference) for value in reference]
    expected = stats.norm.ppf((stats.rankdata(reference)) / 51)
    assert scores == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60), st.floats(-1e7, 1e7), st.floats(0.01, 100))
def test_a_normal_score_knows_only_the_order(values: list[float], value: float, scale: float) -> None:
    reference = sorted(values)
    score = formulas.normal_score(value, reference)
    assert math.isfinite(score)
    largest = stats.norm.ppf((len(values) + 0.5) / (len(values) + 1))
    assert abs(score) <= largest + 1e-9
    assert formulas.normal_score(-value, sorted(-one for one in values)) == pytest.approx(-score, abs=1e-9)


@pytest.mark.parametrize(("count", "of", "n"), [(0, 100, 50), (2, 100, 50), (40, 100, 50), (100, 100, 20)])
def test_shares_stay_within_their_limits_but_once_in_a_rate(count: int, of: int, n: int) -> None:
    rate = 0.01
    fewest, most = formulas.share_limits(count, of, n, rate)
    predicted = stats.betabinom(n, count + 0.5, of - count + 0.5)
    above = sum(predicted.pmf(k) for k in range(most + 1, n + 1))
    below = sum(predicted.pmf(k) for k in range(fewest))
    assert above <= rate / 2 + 1e-12
    assert below <= rate / 2 + 1e-12
    assert above + predicted.pmf(most) > rate / 2  # one less would not do


def test_the_stability_index_against_the_plain_sum() -> None:
    generator = np.random.default_rng(3)
    before, now = generator.normal(size=200).tolist(), generator.normal(0.5, 1, size=100).tolist()
    index, by_chance = formulas.stability_index(before, now)
    edges = [-np.inf, *np.quantile(before, np.arange(1, 10) / 10), np.inf]
    expected = 0.0
    counts = [
        [sum(1 for value in values if low < value <= high) for low, high in pairwise(edges)] for values in (before, now)
    ]
    for a, b in zip(*counts, strict=True):
        p, q = (a + 0.5) / 205, (b + 0.5) / 105
        expected += (q - p) * math.log(q / p)
    assert index == pytest.approx(expected)
    assert by_chance == pytest.approx((1 / 200 + 1 / 100) * stats.chi2.isf(0.001, 9))


def test_without_a_change_the_stability_index_rarely_exceeds_what_chance_does() -> None:
    generator = np.random.default_rng(4)
    beyond = 0
    for _ in range(2000):
        index, by_chance = formulas.stability_index(
            generator.normal(size=300).tolist(), generator.normal(size=100).tolist()
        )
        beyond += index > by_chance
    assert beyond <= 12  # 2 are expected
