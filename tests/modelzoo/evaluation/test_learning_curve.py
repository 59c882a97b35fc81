"""What more images are worth, against simulation, order statistics and curves that are known."""

from __future__ import annotations

import numpy as np
import pytest

from modelzoo.evaluation.calibration import conformal_threshold, percentile_threshold
from modelzoo.evaluation.learning_curve import (
    conformal_rank,
    fit_curve,
    percentile_rank,
    promised_rate,
    rate_interval,
    score_fall,
    worth_of_more,
)
from modelzoo.evaluation.sample_size import expected_false_reject_rate


@pytest.mark.parametrize("n", [5, 12, 40])
@pytest.mark.parametrize("conformal", [True, False])
def test_the_interval_holds_the_rate_of_thresholds_of_random_scores(n: int, conformal: bool) -> None:
    """Uniform scores: the true rate of a threshold t is 1 - t."""
    rng = np.random.default_rng(0)
    rule = conformal_threshold if conformal else lambda scores, rate: percentile_threshold(scores, 100 * (1 - rate))
    rates = np.array([1 - rule(rng.random(n), 0.2) for _ in range(4000)])
    rank = conformal_rank(n, 0.2) if conformal else percentile_rank(n, 0.2)
    assert rank is not None
    low, high = rate_interval(n, rank)
    inside = np.mean((rates >= low) & (rates <= high))
    # A percentile is interpolated between two order statistics, so its interval is a little wide.
    assert inside == pytest.approx(0.95, abs=0.01) if conformal else inside >= 0.94


def test_the_mean_of_that_distribution_is_the_expected_rate() -> None:
    for n in (5, 12, 293):
        assert (n + 1 - percentile_rank(n, 0.1)) / (n + 1) == pytest.approx(expected_false_reject_rate(90, n))


def test_the_promise_is_the_smallest_rate_that_the_conformal_rule_takes() -> None:
    for n in (1, 5, 19):
        assert conformal_rank(n, promised_rate(n)) == n
        assert conformal_rank(n, promised_rate(n) - 1e-6) is None


def test_a_curve_that_is_known_is_recovered_and_extrapolated() -> None:
    curve = [(m, 10 + 30 / m) for m in (3, 6, 10)]
    assert fit_curve(curve) == pytest.approx((10, 30))
    assert score_fall(curve, 12) == pytest.approx(1 - (10 + 30 / 22) / (10 + 30 / 12))


def test_what_is_said() -> None:
    worth = worth_of_more(12, rate=0.1, conformal=False, curve=[(3, 20.0), (6, 15.0), (10, 13.0)])
    assert (worth["promised_rate"], worth["promised_rate_then"]) == (pytest.approx(1 / 13), pytest.approx(1 / 23))
    assert worth["sentence"] == (
        "With 10 more good images, the smallest false-reject rate that a threshold can promise falls from 7.7 % to "
        "4.3 %. The true rate of a threshold for 10 % would lie between 3.1 and 30 % in 95 % of cases, instead of 2.4 "
        "and 40 %. The scores of new good parts would fall by about 9 %."
    )
    low, high = worth["score_fall_range"]
    assert low <= worth["score_fall"] <= high


def test_what_is_not_known_is_not_said() -> None:
    few = worth_of_more(5, rate=0.1, conformal=True, curve=[])
    assert few["rate_interval"] is few["score_fall"] is few["score_fall_range"] is None
    assert "where today there are too few images for one" in few["sentence"]
    assert "scores of new good parts" not in few["sentence"]
    by_hand = worth_of_more(5, rate=None, conformal=False, curve=[(2, 10.0), (4, 10.0)])
    assert by_hand["rate_interval_then"] is None
    assert by_hand["sentence"].endswith("falls from 17 % to 6.2 %. The scores of new good parts would hardly fall.")


def test_of_many_images_it_is_said_that_more_change_little() -> None:
    many = worth_of_more(320, rate=0.1, conformal=False, curve=[])
    assert many["sentence"] == (
        "10 more good images would change little. The smallest false-reject rate that a threshold can promise is "
        "0.31 %."
    )
