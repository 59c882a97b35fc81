"""How many of the parts that passed are defective, as far as those drawn at random tell. Numbers only, no database.

A shift is a finite population: of `population` parts that passed, `drawn` were chosen at random without replacement,
so that the number of defective ones among them is hypergeometric. A bound is the last number of defective parts that a
test of level (1 - level) / 2 does not reject (test inversion). Two tests are offered:

- exact (Clopper and Pearson 1934; for finite populations Wright 1991, "Exact confidence bounds when sampling from small
  finite universes"): holds the truth in at least `level` of all cases, whatever the truth is, and mostly in more.
- mid-P (Lancaster 1961; Berry and Armitage 1995, "Mid-P confidence intervals"): counts half of the probability of what
  was found. Closer to `level` on average, and may be a little below it.

Over several shifts it is the share of a process, with binomial counts. Where the shares of the shifts differ, the
number found varies less than a binomial one (Hoeffding 1956), so that the exact interval holds for their mean.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import bdtr, gammaln

LEVEL = 0.95


@lru_cache(maxsize=4096)
def hypergeometric_interval(
    found: int, drawn: int, population: int, *, unclear: int = 0, level: float = LEVEL, mid_p: bool = False
) -> tuple[int, int]:
    """The numbers of defective parts in the population between which the truth lies.

    Args:
        found: defective parts among the drawn.
        unclear: drawn parts of which nobody knows: good for the lower bound, defective for the upper one.
    """
    if not 0 <= found <= found + unclear <= drawn <= population:
        raise ValueError("found and unclear parts are among the drawn, and these among the population")
    tail = (1 - level) / 2
    weight = 0.5 if mid_p else 1.0
    most = found + unclear

    def at_least_found(defective: int) -> float:
        return _tail(range(found + 1, drawn + 1), defective, drawn, population) + weight * _tail(
            range(found, found + 1), defective, drawn, population
        )

    def at_most_found(defective: int) -> float:
        return _tail(range(most), defective, drawn, population) + weight * _tail(
            range(most, most + 1), defective, drawn, population
        )

    # Both are monotone: more defective parts make high counts likelier and low ones less likely.
    low = 0 if found == 0 else _first(lambda number: at_least_found(number) > tail, found, population - drawn + found)
    high = (
        population
        if most == drawn
        else _first(lambda number: at_most_found(number) <= tail, most, population - drawn + most + 1) - 1
    )
    return low, high


@lru_cache(maxsize=4096)
def binomial_interval(
    found: int, drawn: int, *, unclear: int = 0, level: float = LEVEL, mid_p: bool = False
) -> tuple[float, float]:
    """The same of the share of defective parts of a process of which `drawn` were chosen at random."""
    if not 0 <= found <= found + unclear <= drawn:
        raise ValueError("found and unclear parts are among the drawn")
    tail = (1 - level) / 2
    weight = 0.5 if mid_p else 1.0
    most = found + unclear

    def below(count: int, share: float) -> float:
        """The probability of at most `count`."""
        return float(bdtr(count, drawn, share)) if count >= 0 else 0.0

    def excess_low(share: float) -> float:
        return 1 - (1 - weight) * below(found, share) - weight * below(found - 1, share) - tail

    def excess_high(share: float) -> float:
        return weight * below(most, share) + (1 - weight) * below(most - 1, share) - tail

    low = 0.0 if found == 0 else float(brentq(excess_low, 0.0, 1.0, xtol=1e-12))
    high = 1.0 if most == drawn else float(brentq(excess_high, 0.0, 1.0, xtol=1e-12))
    return low, high


def _tail(counts: range, defective: int, drawn: int, population: int) -> float:
    """The probability that the number of defective parts among the drawn is one of these counts."""
    values = np.arange(counts.start, counts.stop)
    values = values[(values <= defective) & (drawn - values <= population - defective)]
    if len(values) == 0:
        return 0.0
    logarithms = (
        _log_choose(defective, values)
        + _log_choose(population - defective, drawn - values)
        - _log_choose(population, np.array([drawn]))
    )
    return float(min(1.0, np.exp(logarithms).sum()))


def _log_choose(total: int, chosen: np.ndarray) -> np.ndarray:
    values: np.ndarray = gammaln(total + 1) - gammaln(chosen + 1) - gammaln(total - chosen + 1)
    return values


def _first(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The first whole number from low to high of which it holds; `high` where it holds of none before it."""
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low
