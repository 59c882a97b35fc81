"""How far appraisers agree with themselves, with one another and with the standard. Numbers only, no database.

Kappas are Cohen's (1960) of two and Fleiss's (1971) of several ratings of a part. Their intervals come from leaving out
one part after the other (jackknife: Quenouille 1956; for kappa Kraemer 1980, "Extension of the kappa coefficient"), so
that repeated ratings of one part are not taken for independent ones. Shares of parts have exact intervals (Clopper and
Pearson 1934). Limits are those of the AIAG manual Measurement Systems Analysis, 4th edition, chapter III C.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from django.utils.translation import gettext_noop as _

from inspection.reviews.agreement import cohen_kappa, fleiss_kappa
from modelzoo.evaluation.intervals import proportion_interval

GOOD, DEFECTIVE = "good", "defective"
ACCEPTABLE, MARGINAL, UNACCEPTABLE = _("acceptable"), _("marginal"), _("unacceptable")
_Z = 1.959963984540054  # of a two-sided interval of 95 %
_ORDER = (ACCEPTABLE, MARGINAL, UNACCEPTABLE)
# The last value that is acceptable, and the last that is marginal.
MIN_EFFECTIVENESS, MAX_MISS, MAX_FALSE_ALARM, MIN_KAPPA = (0.90, 0.80), (0.02, 0.05), (0.05, 0.10), (0.75, 0.40)

Answers = Mapping[int, Sequence[str]]
"""Of one appraiser: by the number of the part what was said in each trial."""


@dataclass(frozen=True)
class Kappa:
    """None where it is not defined: everybody always said the same word, so that chance alone agrees always."""

    value: float | None
    interval: tuple[float, float] | None

    @property
    def rating(self) -> str:
        if self.value is None:
            return ""
        if self.value > MIN_KAPPA[0]:
            return ACCEPTABLE
        return MARGINAL if self.value >= MIN_KAPPA[1] else UNACCEPTABLE


def jackknife(parts: Sequence[Any], statistic: Callable[[Sequence[Any]], float | None]) -> Kappa:
    """A kappa of parts, with the interval that leaving out each of them gives; it stays within -1 and 1."""
    value, n = statistic(parts), len(parts)
    if value is None or n < 3:
        return Kappa(value, None)
    without = [statistic([*parts[:index], *parts[index + 1 :]]) for index in range(n)]
    known = [one for one in without if one is not None]
    if len(known) < n:
        return Kappa(value, None)
    mean = sum(known) / n
    error = math.sqrt((n - 1) / n * sum((one - mean) ** 2 for one in known))
    return Kappa(value, (max(-1.0, value - _Z * error), min(1.0, value + _Z * error)))


def fleiss(ratings: Sequence[Sequence[str]]) -> Kappa:
    """Of parts, each with what was said of it."""

    def statistic(parts: Sequence[Sequence[str]]) -> float | None:
        return fleiss_kappa([dict(enumerate(words)) for words in parts])

    return jackknife(ratings, statistic)


def cohen(pairs: Sequence[Sequence[tuple[str, str]]]) -> Kappa:
    """Of parts, each with pairs of words of two appraisers."""
    return jackknife(pairs, lambda parts: cohen_kappa([pair for of_part in parts for pair in of_part]))


def share(count: int, total: int) -> dict[str, Any]:
    return {
        "count": count,
        "of": total,
        "share": count / total if total else None,
        "interval": proportion_interval(count, total),
    }


def within(answers: Answers) -> dict[str, Any]:
    """One appraiser against themselves: the parts of which they said the same each time."""
    words = list(answers.values())
    kappa = fleiss(words)
    agreed = share(sum(len(set(one)) == 1 for one in words), len(words))
    return {"agreement": agreed, **_kappa(kappa), "verdict": kappa.rating or _of_share(agreed)}


def between(answers: Mapping[str, Answers]) -> dict[str, Any]:
    """All appraisers against one another, all their trials, and each two of them."""
    numbers = sorted(set.intersection(*(set(one) for one in answers.values())))
    words = [[word for one in answers.values() for word in one[number]] for number in numbers]
    kappa = fleiss(words)
    agreed = share(sum(len(set(one)) == 1 for one in words), len(words))
    pairs = []
    for (name, one), (other_name, other) in combinations(answers.items(), 2):
        of_parts = [list(zip(one[number], other[number], strict=True)) for number in numbers]
        two = cohen(of_parts)
        pairs.append({"appraisers": [name, other_name], **_kappa(two), "verdict": two.rating})
    return {"agreement": agreed, **_kappa(kappa), "verdict": kappa.rating or _of_share(agreed), "pairs": pairs}


def against_standard(answers: Answers, reference: Mapping[int, str]) -> dict[str, Any]:
    """One appraiser against the standard.

    Effectiveness counts parts, judged rightly in every trial; misses and false alarms count single decisions, so that
    their intervals take the trials of one part for independent and are a little too narrow.
    """
    decisions = [(word, reference[number]) for number, words in answers.items() for word in words]
    right = sum(all(word == reference[number] for word in words) for number, words in answers.items())
    effectiveness = share(right, len(answers))
    of_defects = [word for word, truth in decisions if truth == DEFECTIVE]
    of_good = [word for word, truth in decisions if truth == GOOD]
    misses = share(of_defects.count(GOOD), len(of_defects))
    alarms = share(of_good.count(DEFECTIVE), len(of_good))
    kappa = cohen([[(word, reference[number]) for word in words] for number, words in answers.items()])
    ratings = [
        _at_least(effectiveness["share"], MIN_EFFECTIVENESS),
        _at_most(misses["share"], MAX_MISS),
        _at_most(alarms["share"], MAX_FALSE_ALARM),
        kappa.rating,
    ]
    return {
        "effectiveness": effectiveness,
        "misses": misses,
        "false_alarms": alarms,
        **_kappa(kappa),
        "verdict": worst(ratings),
    }


def worst(ratings: Sequence[str]) -> str:
    """The worst of several; empty ones do not count."""
    return max((rating for rating in ratings if rating), key=_ORDER.index, default="")


def _kappa(kappa: Kappa) -> dict[str, Any]:
    return {"kappa": kappa.value, "kappa_interval": list(kappa.interval) if kappa.interval else None}


def _of_share(agreed: dict[str, Any]) -> str:
    """Where a kappa is not defined, the agreement itself tells."""
    return _at_least(agreed["share"], MIN_EFFECTIVENESS)


def _at_least(value: float | None, limits: tuple[float, float]) -> str:
    if value is None:
        return ""
    return ACCEPTABLE if value >= limits[0] else MARGINAL if value >= limits[1] else UNACCEPTABLE


def _at_most(value: float | None, limits: tuple[float, float]) -> str:
    if value is None:
        return ""
    return ACCEPTABLE if value <= limits[0] else MARGINAL if value <= limits[1] else UNACCEPTABLE
