"""The mathematics of measurement studies, against other implementations."""

from __future__ import annotations

import math
from collections import Counter
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta
from sklearn.metrics import cohen_kappa_score

from quality.measurement_system import figures
from quality.measurement_system.selection import (
    DEFECTIVE,
    GOOD,
    NEAR,
    draw_parts,
    group_of,
    numbers,
    order_for,
)
from quality.random_audit.draw import Member

WORDS = st.sampled_from(["good", "defective"])
SEEDS = st.text("0123456789abcdef", min_size=64, max_size=64)


@given(st.lists(st.tuples(WORDS, WORDS), min_size=3, max_size=40))
@settings(max_examples=60, deadline=None)
def test_cohens_kappa_is_that_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    found = figures.cohen([[pair] for pair in pairs])
    one, other = zip(*pairs, strict=True)
    if len(set(one) | set(other)) == 1:
        assert found.value is None
        return
    assert found.value is not None
    assert found.value == pytest.approx(cohen_kappa_score(one, other), abs=1e-12)
    if found.interval:
        assert -1 <= found.interval[0] <= found.value + 1e-12
        assert found.value - 1e-12 <= found.interval[1] <= 1


@given(st.integers(2, 5).flatmap(lambda n: st.lists(st.lists(WORDS, min_size=n, max_size=n), min_size=3, max_size=20)))
@settings(max_examples=60, deadline=None)
def test_fleiss_kappa_is_agreeing_pairs_beyond_chance(ratings: list[list[str]]) -> None:
    """By counting: two different ratings of one part, and two of any parts."""
    found = figures.fleiss(ratings).value
    of_parts = [pair for words in ratings for pair in permutations(words, 2)]
    observed = sum(one == other for one, other in of_parts) / len(of_parts)
    counts = Counter(word for words in ratings for word in words)
    expected = sum((count / counts.total()) ** 2 for count in counts.values())
    if expected == 1:
        assert found is None
    else:
        assert found == pytest.approx((observed - expected) / (1 - expected), abs=1e-12)


def test_the_jackknife_is_that_of_its_definition() -> None:
    ratings = [["good", "good", "defective"], ["good"] * 3, ["defective"] * 3, ["good", "defective", "defective"]] * 3
    found = figures.fleiss(ratings)
    without = [figures.fleiss(ratings[:index] + ratings[index + 1 :]).value for index in range(len(ratings))]
    values = [value for value in without if value is not None]
    mean = sum(values) / len(values)
    error = math.sqrt((len(values) - 1) / len(values) * sum((value - mean) ** 2 for value in values))
    assert found.value is not None
    assert found.interval == pytest.approx((found.value - 1.96 * error, found.value + 1.96 * error), abs=1e-4)


def test_one_against_the_standard() -> None:
    reference = {number: "defective" if number <= 10 else "good" for number in range(1, 31)}
    answers = {number: [word] * 3 for number, word in reference.items()}
    perfect = figures.against_standard(answers, reference)
    assert (perfect["verdict"], perfect["kappa"]) == ("acceptable", 1.0)
    low = beta.ppf(0.025, 30, 1)
    assert perfect["effectiveness"]["interval"] == pytest.approx([low, 1.0])
    answers[1] = ["good", "defective", "defective"]  # one miss of 30
    answers[11] = ["good", "good", "defective"]  # one false alarm of 60
    found = figures.against_standard(answers, reference)
    assert (found["effectiveness"]["count"], found["effectiveness"]["of"]) == (28, 30)
    assert (found["misses"]["count"], found["misses"]["of"]) == (1, 30)
    assert (found["false_alarms"]["count"], found["false_alarms"]["of"]) == (1, 60)
    bounds = [beta.ppf(0.025, 1, 30), beta.ppf(0.975, 2, 29)]
    assert found["misses"]["interval"] == pytest.approx(bounds)
    assert found["verdict"] == "marginal", "3.3 % misses are more than 2 and less than 5 %"
    answers |= {number: ["good"] * 3 for number in range(1, 4)}
    assert figures.against_standard(answers, reference)["verdict"] == "unacceptable"


def test_the_limits() -> None:
    assert [figures.Kappa(value, None).rating for value in (0.76, 0.75, 0.4, 0.39, None)] == [
        "acceptable",
        "marginal",
        "marginal",
        "unacceptable",
        "",
    ]
    assert figures.worst(["", "acceptable", "marginal"]) == "marginal"
    same = figures.within({number: ["good"] * 3 for number in range(20)})
    assert (same["kappa"], same["verdict"]) == (None, "acceptable")


# ---------------------------------------------------------------- the draw
@given(SEEDS, st.integers(20, 100), st.integers(30, 50))
def test_parts_follow_from_the_seed(seed: str, part_count: int, near_percent: int) -> None:
    wanted = numbers(part_count, near_percent)
    assert sum(wanted.values()) == part_count
    groups = (NEAR, GOOD, DEFECTIVE)
    members = [Member(str(number), groups[number % 3], "") for number in range(300)]
    drawn = draw_parts(members, seed=seed, wanted=wanted)
    assert Counter(member.outcome for member in drawn) == wanted
    assert draw_parts(list(reversed(members)), seed=seed, wanted=wanted) == drawn


@given(SEEDS)
def test_each_person_and_trial_has_an_order_of_their_own(seed: str) -> None:
    orders = [order_for(range(1, 31), seed=seed, user_id=user, trial=trial) for user in (1, 2) for trial in (1, 2)]
    assert all(sorted(order) == list(range(1, 31)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4


def test_what_is_near_the_threshold() -> None:
    assert [group_of(score, 10.0) for score in (7.9, 8.0, 10.0, 12.0, 12.1)] == [GOOD, NEAR, NEAR, NEAR, DEFECTIVE]
