"""What counts of verdicts and truths tell about a threshold, and how sure one can be. Numbers only, no database.

Positive means defective, and the rule is score > threshold. Parts that cannot be compared have no score: they are
stopped at any threshold and stand outside of everything here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelzoo.detectors.errors import TooFewImages
from modelzoo.evaluation.calibration import min_cost_threshold
from modelzoo.evaluation.intervals import LEVEL, proportion_interval
from modelzoo.evaluation.rank_metrics import Ranking

GOOD, DEFECTIVE = "good", "defective"
STRATA = (GOOD, DEFECTIVE)
# decision at the threshold and truth -> its place in the confusion matrix
_PLACES = {(True, DEFECTIVE): "tp", (True, GOOD): "fp", (False, GOOD): "tn", (False, DEFECTIVE): "fn"}


@dataclass(frozen=True)
class ReviewedGroup:
    """So many reviewed parts that are alike."""

    recorded: str  # the model's verdict in the record
    truth: str  # the verdict of the last review
    defect_type: str
    above: bool  # whether the score lies above the threshold in question
    count: int


@dataclass(frozen=True)
class Costs:
    """Of rejecting a good part and of letting a defective one pass, in one unit."""

    false_reject: float
    escape: float


@dataclass(frozen=True)
class Bounded:
    """An estimated number and the bounds that hold it."""

    value: float
    low: float
    high: float

    def __add__(self, other: Bounded) -> Bounded:
        return Bounded(self.value + other.value, self.low + other.low, self.high + other.high)

    def times(self, factor: float) -> Bounded:
        return Bounded(self.value * factor, self.low * factor, self.high * factor)

    def document(self) -> dict[str, Any]:
        return {"value": self.value, "interval": [self.low, self.high]}


# ---------------------------------------------------------------- the reviewed parts alone
def confusion_of(groups: Iterable[ReviewedGroup]) -> Counter[str]:
    counts = Counter({"tp": 0, "fp": 0, "tn": 0, "fn": 0})
    for part in groups:
        counts[_PLACES[part.above, part.truth]] += part.count
    return counts


def rates_of(confusion: Mapping[str, int]) -> dict[str, Any]:
    """Precision, recall, F1, false-reject and escape rate of the parts that were looked at, with exact intervals."""
    tp, fp, tn, fn = (confusion[name] for name in ("tp", "fp", "tn", "fn"))
    return {
        "precision": _rate(tp, tp + fp),
        "recall": _rate(tp, tp + fn),
        "f1": _f1(tp, fp, fn),
        "false_reject_rate": _rate(fp, fp + tn),
        "escape_rate": _rate(fn, tp + fn),
    }


def _f1(tp: int, fp: int, fn: int) -> dict[str, Any]:
    """F1 is 2 j / (1 + j), which grows with j = tp / (tp + fp + fn): a proportion, which has an exact interval."""
    bounds = proportion_interval(tp, tp + fp + fn)
    if bounds is None or tp + fn == 0:
        return {"value": None, "interval": None}
    return {"value": 2 * tp / (2 * tp + fp + fn), "interval": [2 * j / (1 + j) for j in bounds]}


def _rate(count: int, total: int) -> dict[str, Any]:
    return {"value": count / total if total else None, "interval": proportion_interval(count, total)}


def recall_by_type(groups: Iterable[ReviewedGroup]) -> list[dict[str, Any]]:
    """Of each type of defect how many lie above the threshold; the most frequent first."""
    total: Counter[str] = Counter()
    above: Counter[str] = Counter()
    for part in groups:
        if part.truth == DEFECTIVE:
            total[part.defect_type] += part.count
            above[part.defect_type] += part.count * part.above
    ranked = sorted(total, key=lambda name: (-total[name], name))
    return [
        {"defect_type": name, "total": total[name], "found": above[name], "recall": _rate(above[name], total[name])}
        for name in ranked
    ]


# ---------------------------------------------------------------- all parts, by way of the reviewed ones
@dataclass(frozen=True)
class Estimate:
    """The confusion matrix of all scored parts, as far as the reviewed ones tell.

    Reviews are no random sample: mostly what the model rejected is looked at. So the reviewed parts of each
    verdict stand for all parts of that verdict (a stratified estimate). That is right as far as, within one verdict,
    it does not depend on the part whether somebody looks at it.

    The bounds hold together at 95 %: each share that they are made of has its exact interval at a level so high that
    all of them hold at once (Bonferroni). They are wide where few were reviewed, and that is the truth.
    """

    cells: Mapping[str, Bounded]

    @classmethod
    def of(cls, groups: Iterable[ReviewedGroup], totals: Mapping[str, int]) -> Estimate | None:
        """`totals`: the scored parts of each verdict. None where parts of a verdict exist and nobody looked at any."""
        counts: dict[str, Counter[str]] = {verdict: Counter() for verdict in STRATA}
        for part in groups:
            counts[part.recorded][_PLACES[part.above, part.truth]] += part.count
        if any(totals[verdict] and not counts[verdict].total() for verdict in STRATA) or not any(totals.values()):
            return None
        level = 1 - (1 - LEVEL) / (len(STRATA) * len(_PLACES))
        cells = dict.fromkeys(_PLACES.values(), Bounded(0.0, 0.0, 0.0))
        for verdict, of_verdict in counts.items():
            reviewed = of_verdict.total()
            for place in cells if reviewed else ():
                bounds = proportion_interval(of_verdict[place], reviewed, level) or [0.0, 1.0]
                share = Bounded(of_verdict[place] / reviewed, *bounds)
                cells[place] += share.times(totals[verdict])
        return cls(cells)

    def rates(self) -> dict[str, Any]:
        tp, fp, tn, fn = (self.cells[name] for name in ("tp", "fp", "tn", "fn"))
        f1 = _share(tp.times(2), fp + fn)
        return {
            "precision": _share(tp, fp),
            "recall": _share(tp, fn),
            "f1": f1 if tp.value + fn.value else {"value": None, "interval": f1["interval"]},
            "false_reject_rate": _share(fp, tn),
            "escape_rate": _share(fn, tp),
        }

    def cost(self, costs: Costs) -> Bounded:
        return self.cells["fp"].times(costs.false_reject) + self.cells["fn"].times(costs.escape)


def _share(part: Bounded, other: Bounded) -> dict[str, Any]:
    """part / (part + rest), which grows with the one and falls with the other."""
    total = part.value + other.value
    low = part.low / (part.low + other.high) if part.low + other.high else 0.0
    high = part.high / (part.high + other.low) if part.high + other.low else 1.0
    return {"value": part.value / total if total else None, "interval": [low, high]}


# ---------------------------------------------------------------- thresholds that suggest themselves
def weights_of(recorded: Sequence[str], totals: Mapping[str, int] | None) -> np.ndarray:
    """How many scored parts of its verdict each reviewed part stands for; without totals each for itself."""
    if totals is None:
        return np.ones(len(recorded))
    reviewed = Counter(recorded)
    return np.array([totals[verdict] / reviewed[verdict] for verdict in recorded], dtype=np.float64)


def weighted_min_cost_threshold(scores: np.ndarray, defective: np.ndarray, weights: np.ndarray, costs: Costs) -> float:
    """The threshold with the least cost on labelled parts [n] that stand for so many each; of equals the highest.

    Raises:
        TooFewImages: without any part.
    """
    if len(scores) == 0:
        raise TooFewImages("There are no reviewed parts. Review some, or choose a threshold from good parts only.")
    values, where = np.unique(scores, return_inverse=True)
    positives = np.bincount(where, weights * defective, len(values))[::-1]
    negatives = np.bincount(where, weights * ~defective, len(values))[::-1]
    ranking = Ranking(values[::-1], positives, negatives)
    return min_cost_threshold(ranking, cost_false_reject=costs.false_reject, cost_escape=costs.escape)
