"""Thresholds and p-values against their definitions, by simulation and by exact ranks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelzoo.detectors.calibration import conformal_threshold, p_value, percentile_threshold
from modelzoo.detectors.errors import DetectorError, TooFewImages

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
