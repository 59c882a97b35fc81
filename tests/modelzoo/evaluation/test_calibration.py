"""Thresholds and p-values against their definitions, by simulation and by exact ranks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from modelzoo.detectors.errors import DetectorError, TooFewImages
from modelzoo.evaluation.calibration import (
    best_f1_threshold,
    conformal_threshold,
    cost_threshold,
    p_value,
    percentile_threshold,
)
from modelzoo.evaluation.intervals import proportion_interval
from modelzoo.evaluation.sample_size import expected_false_reject_rate, images_needed, percentile_warning

finite = st.floats(-1e6, 1e6, allow_nan=False)


def interpolated(scores: list[float], percentile: float) -> float:
    ordered = sorted(scores)
    position = percentile / 100 * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (position - low) * (ordered[high] - ordered[low])


@settings(deadline=None)
@given(st.lists(finite, min_size=1, max_size=50), st.floats(0, 100))
def test_percentile_interpolates_between_order_statistics(scores, percentile):
    expected = interpolated(scores, percentile)
    assert percentile_threshold(scores, percentile) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 99))
def test_conformal_promise_is_exact_in_ranks(n, percent):
    """Of n + 1 exchangeable scores each is as likely to be the new one; count how often it would be rejected."""
    rate = percent / 100
    everyone = np.arange(n + 1.0)
    if (n + 1) * percent < 100:
        with pytest.raises(TooFewImages):
            conformal_threshold(everyone[:n], rate)
        return
    rejected = [new > conformal_threshold(np.delete(everyone, int(new)), rate) for new in everyone]
    assert sum(rejected) * 100 <= (n + 1) * percent
    # And not needlessly careful: one more rejection would break the promise.
    assert (sum(rejected) + 1) * 100 > (n + 1) * percent


def test_conformal_needs_enough_images_and_says_how_many():
    with pytest.raises(TooFewImages, match="at least 99 held-out"):
        conformal_threshold(np.arange(98.0), 0.01)
    assert conformal_threshold(np.arange(99.0), 0.01) == 98.0


@settings(deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=40), st.integers(-1, 21))
def test_p_value_counts_the_part_among_the_good_ones(good, score):
    rank = sum(other >= score for other in [*good, score])
    assert p_value(score, good) == pytest.approx(rank / (len(good) + 1))


def test_p_value_agrees_with_the_conformal_threshold():
    good = np.random.default_rng(0).normal(size=199)
    threshold = conformal_threshold(good, 0.05)
    for score in np.random.default_rng(1).normal(size=500):
        assert (score > threshold) == (p_value(score, good) <= 0.05)


@pytest.mark.parametrize("scores", [[], [1.0, float("nan")], [float("inf")], [[1.0, 2.0]]])
def test_useless_scores_are_refused(scores):
    for call in (lambda: percentile_threshold(scores, 90), lambda: p_value(1.0, scores)):
        with pytest.raises(DetectorError):
            call()
    with pytest.raises(DetectorError):
        conformal_threshold(scores, 0.5)


@pytest.mark.parametrize("rate", [0, 1, -0.1, float("nan")])
def test_useless_rates_are_refused(rate):
    with pytest.raises(DetectorError, match="false_reject_rate"):
        conformal_threshold([1.0, 2.0], rate)


@pytest.mark.parametrize("percentile", [-1, 101, float("nan")])
def test_useless_percentiles_are_refused(percentile):
    with pytest.raises(DetectorError, match="percentile"):
        percentile_threshold([1.0, 2.0], percentile)


def test_a_score_that_is_no_number_has_no_p_value():
    with pytest.raises(DetectorError):
        p_value(float("nan"), [1.0])


@pytest.mark.parametrize(("n", "rate"), [(20, 0.1), (64, 0.05), (33, 0.25)])
def test_conformal_promise_holds_on_average_over_splits(n, rate):
    """Scores with heavy tails, drawn once; thousands of random splits into calibration and new parts."""
    generator = np.random.default_rng(n)
    everyone = generator.standard_cauchy((4000, n + 50))
    rejected = [(row[n:] > conformal_threshold(row[:n], rate)).mean() for row in everyone]
    error = 3 * np.std(rejected) / np.sqrt(len(rejected))
    assert rate - 1 / (n + 1) - error < np.mean(rejected) < rate + error
    # The percentile of the same scores breaks it, which is why there is a conformal threshold.
    naive = [(row[n:] > percentile_threshold(row[:n], 100 * (1 - rate))).mean() for row in everyone]
    assert np.mean(naive) > rate + error


labelled = st.lists(st.tuples(st.integers(-3, 12), st.booleans()), min_size=2, max_size=40).filter(
    lambda pairs: len({label for _, label in pairs}) == 2
)


def candidates(scores: np.ndarray) -> np.ndarray:
    """Every threshold that decides differently: below all, and at each score."""
    return np.append(scores.min() - 1, np.unique(scores))


@settings(deadline=None, max_examples=40)
@given(labelled)
def test_best_f1_threshold_is_the_best_of_all(pairs):
    scores, labels = np.array([p[0] for p in pairs], dtype=float), np.array([p[1] for p in pairs])
    best = max(f1_score(labels, scores > value) for value in candidates(scores))
    assert f1_score(labels, scores > best_f1_threshold(scores, labels)) == pytest.approx(best)


@settings(deadline=None, max_examples=40)
@given(labelled, st.floats(0.01, 100), st.one_of(st.none(), st.floats(0.001, 0.999)))
def test_cost_threshold_is_the_cheapest_of_all(pairs, ratio, prevalence):
    scores, labels = np.array([p[0] for p in pairs], dtype=float), np.array([p[1] for p in pairs])
    share = labels.mean() if prevalence is None else prevalence

    def cost(threshold):
        rejected = scores > threshold
        return (1 - share) * 2.0 * rejected[~labels].mean() + share * 2.0 * ratio * (~rejected[labels]).mean()

    found = cost_threshold(scores, labels, cost_false_reject=2.0, cost_escape=2.0 * ratio, prevalence=prevalence)
    assert cost(found) == pytest.approx(min(map(cost, candidates(scores))))


def test_labelled_thresholds_lie_halfway_and_follow_the_cost():
    scores, labels = [1.0, 2.0, 3.0, 5.0, 6.0, 7.0], [False, False, True, False, True, True]
    assert best_f1_threshold(scores, labels) == 2.5
    assert cost_threshold(scores, labels, cost_false_reject=100, cost_escape=1) == 5.5
    assert cost_threshold(scores, labels, cost_false_reject=1, cost_escape=100) == 2.5
    # On a line where defects are rare, an escape must cost much before a good part is rejected for it.
    assert cost_threshold(scores, labels, cost_false_reject=1, cost_escape=2, prevalence=0.01) == 5.5


def test_labelled_thresholds_need_both_kinds_and_matching_labels():
    def by_cost(scores, labels):
        return cost_threshold(scores, labels, cost_false_reject=1, cost_escape=1)

    for call in (best_f1_threshold, by_cost):
        with pytest.raises(TooFewImages, match="2 good parts and 0 defects"):
            call([1.0, 2.0], [False, False])
        with pytest.raises(TooFewImages):
            call([], [])
        with pytest.raises(DetectorError, match="each score has one label"):
            call([1.0, 2.0], [True])
        with pytest.raises(DetectorError, match="not finite"):
            call([1.0, float("nan")], [True, False])


@pytest.mark.parametrize(
    "options", [{"cost_escape": 0}, {"cost_false_reject": float("inf")}, {"prevalence": 0.0}, {"prevalence": 1.5}]
)
def test_useless_costs_are_refused(options):
    with pytest.raises(DetectorError, match=next(iter(options))):
        cost_threshold([1.0, 2.0], [False, True], **{"cost_false_reject": 1.0, "cost_escape": 1.0, **options})


@pytest.mark.parametrize(("n", "above"), [(1, 0), (20, 0), (20, 3), (64, 64)])
def test_the_interval_of_a_proportion_is_exact(n, above):
    reference = binomtest(above, n).proportion_ci(method="exact")
    assert proportion_interval(above, n) == pytest.approx([reference.low, reference.high], abs=1e-6)


# ---------------------------------------------------------------- how many images a promise needs
@pytest.mark.parametrize(("percentile", "needed"), [(90, 23), (95, 53), (99, 293)])
def test_the_images_needed_keep_what_was_asked_for(percentile: float, needed: int) -> None:
    most = (1 - percentile / 100) * 4 / 3
    assert images_needed(percentile) == needed
    assert expected_false_reject_rate(percentile, needed) <= most * (1 + 1e-9)
    assert expected_false_reject_rate(percentile, needed - 1) > most
    assert percentile_warning(percentile, needed) == ""
    assert f"{needed} are needed" in percentile_warning(percentile, needed - 1)
    assert "one held-out good image" in percentile_warning(percentile, 1)


def test_the_expected_rate_is_that_of_new_parts() -> None:
    rng = np.random.default_rng(0)
    scores, new = rng.normal(size=(4000, 5)), rng.normal(size=4000)
    above = np.mean([value > percentile_threshold(row, 90) for row, value in zip(scores, new, strict=True)])
    assert abs(above - expected_false_reject_rate(90, 5)) < 0.03
