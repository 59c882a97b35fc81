"""What more good images would be worth to a version: to its threshold, and to its held-out scores. No accuracy.

The threshold: of n exchangeable scores, the share of new good parts above the one at ascending rank h is distributed
as Beta(n + 1 - h, h), whatever the distribution of the scores (the coverage of an order statistic, Wilks 1941). The
smallest false-reject rate that a conformal threshold can promise of n scores is 1 / (n + 1).

The held-out scores: the typical score of a good part falls with the number of images m as a + b / m, since the error
of a mean and of a covariance goes with 1 / m. The curve is measured by models of fewer images on images that they have
not seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from scipy.special import betaincinv

from modelzoo.evaluation.intervals import LEVEL, Interval

MORE_IMAGES = 10
# Where the smallest rate that can be promised stays above this share of what it is, more images are worth little.
_LITTLE = 0.95

Curve = Sequence[tuple[int, float]]
"""Numbers of images, ascending, and the mean score of good images that models of so many have not seen."""


def promised_rate(n: int) -> float:
    """The smallest false-reject rate that a conformal threshold of n held-out scores can promise."""
    return 1 / (n + 1)


def percentile_rank(n: int, rate: float) -> float:
    """The ascending rank among n scores, from 1, interpolated, of their percentile 100 (1 - rate)."""
    return 1 + (n - 1) * (1 - rate)


def conformal_rank(n: int, rate: float) -> int | None:
    """That of the conformal threshold; None where n is too small for this rate."""
    above = math.floor((n + 1) * rate + 1e-9)
    return n + 1 - above if above >= 1 else None


def rate_interval(n: int, rank: float, level: float = LEVEL) -> Interval:
    """Where the false-reject rate of a threshold at this rank of n scores lies, with probability `level`."""
    tail = (1 - level) / 2
    return [float(betaincinv(n + 1 - rank, rank, share)) for share in (tail, 1 - tail)]


def fit_curve(curve: Curve) -> tuple[float, float]:
    """a and b of the score a + b / m, by least squares; at least two points."""
    numbers, scores = np.array([m for m, _ in curve], dtype=float), np.array([score for _, score in curve])
    b, a = np.polyfit(1 / numbers, scores, 1)
    return float(a), float(b)


def score_fall(curve: Curve, n: int, more: int = MORE_IMAGES) -> float:
    """By which share the typical held-out score would fall with more images than n; negative where it would rise."""
    a, b = fit_curve(curve)
    return float(1 - (a + b / (n + more)) / (a + b / n))


def worth_of_more(
    n: int, *, rate: float | None, conformal: bool, curve: Curve, more: int = MORE_IMAGES
) -> dict[str, Any]:
    """What `more` good images would change, JSON-safe.

    Args:
        n: held-out good images now, at least one.
        rate: the false-reject rate that the threshold in force was asked for; None where its rule names none.
        conformal: whether its rule is the conformal one, else it is a percentile.
        curve: as measured; empty where a detector measures none.

    Returns:
        n, more; promised_rate and promised_rate_then; requested_rate; rate_interval and rate_interval_then (None
        without a requested rate, and where there are too few images for it); score_fall and score_fall_range (over
        all pairs of points; None without a curve); sentence.
    """

    def interval(count: int) -> Interval | None:
        if rate is None or not 0 < rate < 1:
            return None
        rank = conformal_rank(count, rate) if conformal else percentile_rank(count, rate)
        return None if rank is None else rate_interval(count, rank)

    pairs = [score_fall(pair, n, more) for pair in combinations(curve, 2)]
    worth: dict[str, Any] = {
        "n": n,
        "more": more,
        "promised_rate": promised_rate(n),
        "promised_rate_then": promised_rate(n + more),
        "requested_rate": rate,
        "rate_interval": interval(n),
        "rate_interval_then": interval(n + more),
        "score_fall": score_fall(curve, n, more) if pairs else None,
        "score_fall_range": [min(pairs), max(pairs)] if pairs else None,
    }
    return worth | {"sentence": worth_sentence(worth)}


def worth_sentence(worth: dict[str, Any]) -> str:
    """`worth_of_more` in words; nothing of how many defects would be detected, which good images cannot tell."""
    if worth["promised_rate_then"] > _LITTLE * worth["promised_rate"]:
        return (
            f"{worth['more']} more good images would change little. The smallest false-reject rate that a threshold "
            f"can promise is {_percent(worth['promised_rate'])}."
        )
    sentences = [
        f"With {worth['more']} more good images, the smallest false-reject rate that a threshold can promise falls "
        f"from {_percent(worth['promised_rate'])} to {_percent(worth['promised_rate_then'])}."
    ]
    now, then = worth["rate_interval"], worth["rate_interval_then"]
    if then:
        before = f"instead of {_range(now)}" if now else "where today there are too few images for one"
        sentences.append(
            f"The true rate of a threshold for {_percent(worth['requested_rate'])} would lie between {_range(then)} in "
            f"95 % of cases, {before}."
        )
    fall = worth["score_fall"]
    if fall is not None:
        low, high = (100 * bound for bound in worth["score_fall_range"])
        if 100 * fall < 1:
            sentences.append("The scores of new good parts would hardly fall.")
        else:
            range_text = f" ({low:.0f} to {high:.0f} %)" if f"{low:.0f}" != f"{high:.0f}" else ""
            sentences.append(f"The scores of new good parts would fall by about {100 * fall:.0f} %{range_text}.")
    return " ".join(sentences)


def _range(interval: Interval) -> str:
    low, high = (100 * bound for bound in interval)
    return f"{low:.2g} and {high:.2g} %"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
