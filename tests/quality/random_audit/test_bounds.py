"""The bounds against scipy's distributions, and by brute force over all populations."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, hypergeom

from quality.benchmarks import random_audit
from quality.random_audit.bounds import binomial_interval, hypergeometric_interval


def by_enumeration(found: int, drawn: int, population: int, *, mid_p: bool) -> tuple[int, int]:
    """In fractions: the least and the greatest number of defective parts that neither one-sided test rejects."""
    tail = Fraction(1, 40)

    def probability(count: int, defective: int) -> Fraction:
        return Fraction(comb(defective, count) * comb(population - defective, drawn - count), comb(population, drawn))

    accepted = []
    for defective in range(found, population - drawn + found + 1):
        own = probability(found, defective) * (Fraction(1, 2) if mid_p else 1)
        above = own + sum(probability(count, defective) for count in range(found + 1, drawn + 1))
        below = own + sum(probability(count, defective) for count in range(found))
        if (above > tail or found == 0) and (below > tail or found == drawn):
            accepted.append(defective)
    return accepted[0], population if found == drawn else accepted[-1]


@pytest.mark.parametrize("mid_p", [False, True])
def test_against_enumeration(mid_p):
    for population, drawn in product((1, 2, 7, 12), (1, 2, 5, 7, 12)):
        for found in range(drawn + 1) if drawn <= population else ():
            expected = by_enumeration(found, drawn, population, mid_p=mid_p)
            assert hypergeometric_interval(found, drawn, population, mid_p=mid_p) == expected, (
                found,
                drawn,
                population,
            )


@given(st.integers(1, 3000), st.data())
def test_the_exact_bounds_are_those_of_scipys_distribution(population, data):
    drawn = data.draw(st.integers(1, min(population, 200)))
    found = data.draw(st.integers(0, min(drawn, 6)))
    low, high = hypergeometric_interval(found, drawn, population)
    assert 0 <= low <= high <= population
    if found:
        assert hypergeom.sf(found - 1, population, low, drawn) > 0.025 - 1e-9
        assert low == found or hypergeom.sf(found - 1, population, low - 1, drawn) <= 0.025 + 1e-9
    if found < drawn:
        assert hypergeom.cdf(found, population, high, drawn) > 0.025 - 1e-9
        assert hypergeom.cdf(found, population, high + 1, drawn) <= 0.025 + 1e-9 or high == population - drawn + found


@given(st.integers(1, 400), st.data())
def test_what_nobody_knows_only_widens(drawn, data):
    found = data.draw(st.integers(0, drawn))
    unclear = data.draw(st.integers(0, drawn - found))
    population = data.draw(st.integers(drawn, 2000))
    low, high = hypergeometric_interval(found, drawn, population, unclear=unclear)
    assert low == hypergeometric_interval(found, drawn, population)[0]
    assert high == hypergeometric_interval(found + unclear, drawn, population)[1]
    mid_low, mid_high = hypergeometric_interval(found, drawn, population, unclear=unclear, mid_p=True)
    assert low <= mid_low <= mid_high <= high


@given(st.integers(1, 300), st.data())
def test_of_a_process_it_is_clopper_pearson(drawn, data):
    found = data.draw(st.integers(0, drawn))
    low, high = binomial_interval(found, drawn)
    assert low == pytest.approx(beta.ppf(0.025, found, drawn - found + 1) if found else 0.0, abs=1e-9)
    assert high == pytest.approx(beta.ppf(0.975, found + 1, drawn - found) if found < drawn else 1.0, abs=1e-9)
    mid_low, mid_high = binomial_interval(found, drawn, mid_p=True)
    assert low <= mid_low <= mid_high <= high


def test_a_whole_population_leaves_no_doubt():
    assert hypergeometric_interval(3, 50, 50) == (3, 3)
    assert hypergeometric_interval(3, 50, 50, unclear=2) == (3, 5)
    assert hypergeometric_interval(0, 1, 1, unclear=1) == (0, 1)


def test_more_was_found_than_drawn():
    with pytest.raises(ValueError, match="among the drawn"):
        hypergeometric_interval(3, 2, 10)
    with pytest.raises(ValueError, match="among the drawn"):
        binomial_interval(1, 2, unclear=2)


def test_coverage_in_simulated_shifts():
    """The mid-P interval holds the truth in 93 to 97 % of 2,000 shifts, the exact one in at least as many."""
    figures = random_audit.figures(scenarios=random_audit.SCENARIOS[:1])
    assert figures["shifts"] == 2000
    assert 0.93 <= figures["coverage"] <= 0.97
    assert figures["exact_coverage"] >= 0.95
    assert 0.7 < figures["draw"]["chi_square_per_degree"] < 1.3
    assert "mid-P" in random_audit.as_text(figures)
