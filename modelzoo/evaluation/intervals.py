"""How far a figure may be from what more images would show."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq
from scipy.special import bdtr, betaincinv, ndtri

from modelzoo.evaluation.rank_metrics import Ranking

LEVEL = 0.95
INTERVAL_METHOD = (
    "AUROC: Newcombe's method 5; AUPR: Clopper-Pearson over the defective parts; "
    "F1: Clopper-Pearson of the Jaccard index; rates: Clopper-Pearson"
)
_EPSILON = 1e-12  # far less than one pair of images is to an AUROC

Interval = list[float]
"""[low, high], JSON-safe."""


def proportion_interval(count: int, total: int, level: float = LEVEL) -> Interval | None:
    """The exact interval of a proportion (Clopper and Pearson 1934); None of nothing.

    Whatever the true proportion is, intervals made this way hold it in at least `level` of all cases.
    """
    if total == 0:
        return None
    return _clopper_pearson(count, total, level)


def median_interval(values: Sequence[float], level: float = LEVEL) -> Interval | None:
    """The interval of a median between two order statistics (Thompson 1936); None where there are too few values.

    Whatever the distribution is, intervals made this way hold its median in at least `level` of all cases.
    """
    outside = int(np.searchsorted(bdtr(np.arange(len(values)), len(values), 0.5), (1 - level) / 2, side="right"))
    if outside == 0:
        return None
    ascending = sorted(values)
    return [float(ascending[outside - 1]), float(ascending[-outside])]


def auroc_interval(auroc: float, n_positive: int, n_negative: int, level: float = LEVEL) -> Interval:
    """The values of an AUROC that a score test does not reject (Newcombe 2006, "Confidence intervals for an effect size
    measure based on the Mann-Whitney statistic. Part 2", method 5).

    Unlike resampling it keeps a width where the two kinds do not overlap (measured in docs/adr/0010).
    """
    z = float(ndtri((1 + level) / 2))
    mean = (n_positive + n_negative) / 2

    def deviation(theta: float) -> float:
        spread = 2 * mean - 1 - (3 * mean - 3) / ((2 - theta) * (1 + theta))
        return z * math.sqrt(theta * (1 - theta) / (n_positive * n_negative) * spread)

    # The AUROC itself is no bound, although it solves the equation at 0 and 1, where the deviation vanishes.
    below, above = auroc - _EPSILON, auroc + _EPSILON
    low = brentq(lambda theta: auroc - theta - deviation(theta), 0.0, below) if below > 0 else 0.0
    high = brentq(lambda theta: theta - auroc - deviation(theta), above, 1.0) if above < 1 else 1.0
    return [float(low), float(high)]


def aupr_interval(aupr: float, n_positive: int, level: float = LEVEL) -> Interval:
    """That of a proportion of the positives, whose number decides how sure an average precision is (Boyd, Eng and Page
    2013, the binomial interval), by Clopper and Pearson instead of the normal law, which has no width at 1."""
    return _clopper_pearson(aupr * n_positive, n_positive, level)


def f1_interval(hits: int, false: int, n_positive: int, level: float = LEVEL) -> Interval:
    """From the exact interval of the Jaccard index hits / (n_positive + false), of which F1 = 2 J / (1 + J)."""
    jaccard = _clopper_pearson(hits, n_positive + false, level)
    return [2 * bound / (1 + bound) for bound in jaccard]


def ranking_intervals(ranking: Ranking, threshold: float) -> dict[str, Interval | None]:
    """95 % intervals of auroc, aupr and f1 (of value > threshold); None where the ranking lacks one of the kinds."""
    auroc, aupr = ranking.auroc(), ranking.aupr()
    if auroc is None or aupr is None or not (ranking.n_positive and ranking.n_negative):
        return {"auroc": None, "aupr": None, "f1": None}
    predicted = ranking.values > threshold
    hits, false = int(ranking.positives[predicted].sum()), int(ranking.negatives[predicted].sum())
    return {
        "auroc": auroc_interval(auroc, ranking.n_positive, ranking.n_negative),
        "aupr": aupr_interval(aupr, ranking.n_positive),
        "f1": f1_interval(hits, false, ranking.n_positive),
    }


def _clopper_pearson(count: float, total: int, level: float) -> Interval:
    tail = (1 - level) / 2
    low = float(betaincinv(count, total - count + 1, tail)) if count > 0 else 0.0
    high = float(betaincinv(count + 1, total - count, 1 - tail)) if count < total else 1.0
    return [low, high]
