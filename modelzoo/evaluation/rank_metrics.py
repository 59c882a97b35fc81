"""Ordering of scores against labels: the areas, the best thresholds and the curves that follow from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_CURVE_POINTS = 200
Points = list[list[float]]
"""A curve as [x, y] pairs, JSON-safe."""


@dataclass(frozen=True)
class Ranking:
    """Positives and negatives at each distinct value, from the largest value down.

    Attributes:
        values: float64 [n], strictly descending; infinity is allowed.
        positives, negatives: int64 [n], how many of each have that value.
    """

    values: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, labels: np.ndarray) -> Ranking:
        """From single scores [n] and boolean labels [n]."""
        values, indices = np.unique(np.asarray(scores, dtype=np.float64), return_inverse=True)
        positives = np.bincount(indices[labels], minlength=len(values))
        negatives = np.bincount(indices[~labels], minlength=len(values))
        return cls(values[::-1], positives[::-1], negatives[::-1])

    @property
    def n_positive(self) -> int:
        return int(self.positives.sum())

    @property
    def n_negative(self) -> int:
        return int(self.negatives.sum())

    def auroc(self) -> float | None:
        """Probability that a positive lies above a negative, ties counting one half; None without both."""
        if not (self.n_positive and self.n_negative):
            return None
        above = np.cumsum(self.positives) - self.positives / 2
        return float((above * self.negatives).sum() / (self.n_positive * self.n_negative))

    def auroc_uncertainty(self) -> float | None:
        """How far `auroc` can be from that of values which were not binned: half the share of tied pairs."""
        if not (self.n_positive and self.n_negative):
            return None
        tied = (self.positives / self.n_positive) * (self.negatives / self.n_negative)
        return float(tied.sum() / 2)

    def aupr(self) -> float | None:
        """Average precision: precision at each value weighted by the recall it adds; None without positives."""
        if not self.n_positive:
            return None
        hits = np.cumsum(self.positives)
        precision = hits / (hits + np.cumsum(self.negatives))
        return float((precision * self.positives).sum() / self.n_positive)

    def recall_at(self, false_reject_rate: float) -> float | None:
        """The largest share of positives above a threshold that at most this share of the negatives exceeds; None
        without both. The threshold is the test's own: what a detector could do, and not what one was promised."""
        if not (self.n_positive and self.n_negative):
            return None
        allowed = np.cumsum(self.negatives) <= false_reject_rate * self.n_negative + 1e-9
        return float(np.cumsum(self.positives)[allowed].max(initial=0) / self.n_positive)

    def best_f1(self) -> tuple[float, float] | tuple[None, None]:
        """The largest F1 over all thresholds, and the threshold t that gives it by the rule value > t.

        It lies halfway between the two values that it separates: as far from either as can be.
        """
        if not self.n_positive:
            return None, None
        hits, above = np.cumsum(self.positives), np.cumsum(self.positives + self.negatives)
        quality = 2 * hits / (above + self.n_positive)
        best = int(np.argmax(quality))
        return float(quality[best]), self.cut(best + 1)

    def best_iou(self) -> tuple[float, float] | tuple[None, None]:
        """The largest intersection over union over all thresholds, and a threshold that gives it.

        It lies just below the lowest value that is taken, since in a binned ranking a value is the low end of a bin.
        """
        if not self.n_positive:
            return None, None
        quality = np.cumsum(self.positives) / (self.n_positive + np.cumsum(self.negatives))
        best = int(np.argmax(quality))
        return float(quality[best]), math.nextafter(float(self.values[best]), -math.inf)

    def cut(self, n_above: int) -> float:
        """A threshold t such that exactly the `n_above` largest distinct values (0..n) fulfil value > t."""
        if n_above == 0:
            return float(self.values[0])
        lowest_above = float(self.values[n_above - 1])
        if n_above == len(self.values):
            return math.nextafter(lowest_above, -math.inf)
        highest_below = float(self.values[n_above])
        middle = lowest_above / 2 + highest_below / 2
        return middle if highest_below <= middle < lowest_above else highest_below

    def roc(self) -> Points:
        """False-positive rate and true-positive rate at every threshold, thinned; needs both kinds."""
        false = np.concatenate([[0.0], np.cumsum(self.negatives) / self.n_negative])
        true = np.concatenate([[0.0], np.cumsum(self.positives) / self.n_positive])
        return thin_curve(false, true)

    def precision_recall(self) -> Points:
        """Recall and precision at every threshold, from the strictest on, thinned; needs positives."""
        hits = np.cumsum(self.positives)
        return thin_curve(hits / self.n_positive, hits / (hits + np.cumsum(self.negatives)))


def thin_curve(x: np.ndarray, y: np.ndarray, max_points: int = _CURVE_POINTS) -> Points:
    """At most `max_points` points of a curve, rounded to 6 digits, the first and the last always among them.

    They are spaced evenly along the curve, |dx| + |dy| apart, so a curve in the unit square that only rises lies
    nowhere further than 2 / (max_points - 1) from a point of the thinned one.
    """
    if len(x) > max_points:
        path_length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
        indices = np.unique(np.searchsorted(path_length, np.linspace(0, path_length[-1], max_points - 1)))
        indices = np.unique(np.append(np.minimum(indices, len(x) - 1), len(x) - 1))
        x, y = x[indices], y[indices]
    return [[round(float(a), 6), round(float(b), 6)] for a, b in zip(x, y, strict=True)]
