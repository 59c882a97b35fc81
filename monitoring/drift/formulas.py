"""The formulas of control charts, on plain numbers: normal scores, EWMA, shares, population stability.

- Normal scores: a value is replaced by the normal quantile of its rank among the reference, so that a chart needs no
  distribution and no single part, however odd, moves it by more than the largest of them (Conover, Tercero-Gomez and
  Cordero-Franco, "The sequential normal scores transformation", Sequential Analysis 36, 2017).
- EWMA: Roberts, "Control chart tests based on geometric moving averages", Technometrics 1, 1959; its run length by a
  Markov chain: Lucas and Saccucci, "Exponentially weighted moving average control schemes", Technometrics 32, 1990.
- Shares: a p-chart whose limits are quantiles of the beta-binomial distribution that the reference predicts, so that
  they also hold for few parts and rates near 0 (Hahn and Meeker, "Statistical Intervals", chapter 6, 1991).
- Population stability index: Siddiqi, "Credit Risk Scorecards", 2006; its distribution without a change: Yurdakul,
  "Statistical properties of population stability index", 2018.
"""

from __future__ import annotations

import functools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from scipy import stats

# Weight of the newest part in the moving average: about the last 40 parts count.
WEIGHT = 0.05
_NORMAL = NormalDist()
_STATES = 101  # of the Markov chain; odd, so that one of them is 0


def normal_score(value: float, reference: Sequence[float]) -> float:
    """Of a value among a sorted reference of n: the normal quantile of its middle rank over n + 1."""
    rank = (bisect_left(reference, value) + bisect_right(reference, value)) / 2
    return _NORMAL.inv_cdf((rank + 0.5) / (len(reference) + 1))


def moving_average(before: float, score: float) -> float:
    """z' = (1 - w) z + w x."""
    return (1 - WEIGHT) * before + WEIGHT * score


def average_limit(n: int, rate: float) -> float:
    """Beyond which the moving average of normal scores is out of control: once in 1 / `rate` parts without a change.

    L sqrt(w / (2 - w) + 1 / n): the second term is the variance of the centre, which is that of n parts only.

    Args:
        n: parts of the reference.
    """
    return limit_factor(rate) * math.sqrt(WEIGHT / (2 - WEIGHT) + 1 / n)


@functools.lru_cache(maxsize=16)
def limit_factor(rate: float) -> float:
    """L of an EWMA chart whose mean run length without a change is 1 / `rate`, by bisection."""
    low, high = 1.0, 8.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if run_length(middle) < 1 / rate else (low, middle)
    return high


def run_length(factor: float) -> float:
    """Mean number of parts until the moving average of standard normal values from 0 on leaves +- factor times its own
    standard deviation: (I - Q)^-1 1 of the Markov chain whose states are bands between the limits.
    """
    limit = factor * math.sqrt(WEIGHT / (2 - WEIGHT))
    width = 2 * limit / _STATES
    centres = -limit + width * (np.arange(_STATES) + 0.5)
    edges = -limit + width * np.arange(_STATES + 1)
    below = stats.norm.cdf((edges[None, :] - (1 - WEIGHT) * centres[:, None]) / WEIGHT)
    lengths = np.linalg.solve(np.eye(_STATES) - np.diff(below, axis=1), np.ones(_STATES))
    return float(lengths[_STATES // 2])


@functools.lru_cache(maxsize=4096)
def share_limits(count: int, of: int, n: int, rate: float) -> tuple[int, int]:
    """The fewest and the most of n parts that are in control, where the reference had `count` of `of`.

    Each is passed with probability at most `rate` / 2 without a change: quantiles of the beta-binomial distribution
    after Jeffreys' prior.
    """
    predicted = stats.betabinom(n, count + 0.5, of - count + 0.5)
    return int(predicted.ppf(rate / 2)), int(predicted.isf(rate / 2))


def stability_index(before: Sequence[float], now: Sequence[float]) -> tuple[float, float]:
    """The population stability index of values against those of before, and what chance alone exceeds once in 1,000.

    Bins are quantiles of before, ten of them or as many as leave ten values in each; half a value is added to each bin,
    so that none is empty. Without a change the index is about (1/n + 1/m) times chi-squared with bins - 1 degrees of
    freedom.
    """
    n, m = len(before), len(now)
    bins = max(2, min(10, n // 10))
    edges = np.unique(np.quantile(np.asarray(before, dtype=np.float64), np.arange(1, bins) / bins))
    counts = [np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1) for values in (before, now)]
    expected, actual = ((count + 0.5) / (count + 0.5).sum() for count in counts)
    index = float(((actual - expected) * np.log(actual / expected)).sum())
    return index, float((1 / n + 1 / m) * stats.chi2.isf(0.001, len(edges)))
