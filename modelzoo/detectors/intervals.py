"""How far a figure may be from what more images would show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import bdtr, betaincinv

from modelzoo.detectors.ranking import Ranking, aupr_of, auroc_of

LEVEL = 0.95
RESAMPLES = 1000
_CELLS = 2_000_000  # resamples x distinct scores held at a time: 16 MB an array

Interval = list[float]
"""[low, high], JSON-safe."""


def proportion_interval(count: int, total: int, level: float = LEVEL) -> Interval | None:
    """The exact interval of a proportion (Clopper and Pearson 1934); None of nothing.

    Whatever the true proportion is, intervals made this way hold it in at least `level` of all cases.
    """
    if total == 0:
        return None
    tail = (1 - level) / 2
    low = float(betaincinv(count, total - count + 1, tail)) if count else 0.0
    high = float(betaincinv(count + 1, total - count, 1 - tail)) if count < total else 1.0
    return [low, high]


def median_interval(values: Sequence[float], level: float = LEVEL) -> Interval | None:
    """The interval of a median between two order statistics (Thompson 1936); None where there are too few values.

    Whatever the distribution is, intervals made this way hold its median in at least `level` of all cases.
    """
    outside = int(np.searchsorted(bdtr(np.arange(len(values)), len(values), 0.5), (1 - level) / 2, side="right"))
    if outside == 0:
        return None
    ascending = sorted(values)
    return [float(ascending[outside - 1]), float(ascending[-outside])]


def bootstrap_intervals(
    ranking: Ranking, threshold: float, *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = 0
) -> dict[str, Interval | None]:
    """Percentile bootstrap intervals (Efron 1979) of auroc, aupr and f1 (of value > threshold).

    Good and defective images are drawn again separately, with replacement, as many as there were; the same seed gives
    the same interval. Where the two kinds do not overlap every resample is perfect and the interval has no width: it
    then tells that these images cannot say more, not that the detector is certain.

    Returns:
        auroc, aupr, f1: [low, high], or None where the ranking lacks one of the kinds.
    """
    if not (ranking.n_positive and ranking.n_negative):
        return {"auroc": None, "aupr": None, "f1": None}
    generator = np.random.default_rng(seed)
    decided = ranking.values > threshold
    drawn: list[np.ndarray] = []
    left, at_a_time = resamples, max(1, _CELLS // len(ranking.values))
    while left:
        size = min(left, at_a_time)
        positives = _drawn(generator, ranking.positives, size)
        negatives = _drawn(generator, ranking.negatives, size)
        hits, false = positives[:, decided].sum(1), negatives[:, decided].sum(1)
        f1 = 2 * hits / (hits + false + ranking.n_positive)
        drawn.append(np.stack([auroc_of(positives, negatives), aupr_of(positives, negatives), f1]))
        left -= size
    tail = (1 - level) / 2
    bounds = np.quantile(np.concatenate(drawn, axis=1), [tail, 1 - tail], axis=1)
    return {name: [float(low), float(high)] for name, low, high in zip(("auroc", "aupr", "f1"), *bounds, strict=True)}


def _drawn(generator: np.random.Generator, counts: np.ndarray, size: int) -> np.ndarray:
    """Counts [size, n] of as many draws with replacement as `counts` [n] has images."""
    total = int(counts.sum())
    return generator.multinomial(total, counts / total, size=size)
