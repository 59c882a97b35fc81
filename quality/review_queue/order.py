"""Which of many records teaches most when a person looks at it. Numbers only, no database.

The worth of a record is the sum of three terms, each 0 to 1:

- near the threshold: 1 / (1 + d), where d is the distance of its score from the threshold in standard deviations of the
  held-out scores (uncertainty sampling; Lewis and Gale, "A sequential algorithm for training text classifiers", 1994).
- novel: n / (1 + n), where n is how far its picture lies from the nearest reviewed one: the root mean square of the
  differences of the image statistics, each in standard deviations of the good training images. Their mean counts as
  reviewed (distance to what is labelled; Sener and Savarese, "Active learning for convolutional neural networks: a
  core-set approach", 2018).
- disagreement: 1 where another model version says the opposite of the record, else 0 (query by committee; Seung, Opper
  and Sompolinsky 1992).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from modelzoo.evaluation.image_statistics import WORDS

NEAR, NOVEL, DISAGREEMENT = "threshold", "novelty", "disagreement"
Statistics = Mapping[str, float]
_MAX_DIFFERENCE = 10.0  # of one statistic: one that is wild does not hide the others
_TOGETHER = 128  # candidates, so that the differences of all of them are never in memory


@dataclass(frozen=True)
class Candidate:
    """A record that nobody reviewed. `disagreement`: what another version says, as a sentence; empty: nothing else."""

    key: Any
    score: float
    statistics: Statistics = field(default_factory=dict)
    disagreement: str = ""


@dataclass(frozen=True)
class Place:
    """A record's place in the queue: what it is worth, and the strongest reason in a sentence."""

    key: Any
    worth: float
    cause: str
    why: str


@dataclass(frozen=True)
class Model:
    """What candidates are measured with: the threshold in force, held-out scores, statistics of the training images."""

    threshold: float
    held_out: Sequence[float]
    training: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def spread(self) -> float:
        """The standard deviation of the held-out scores; a tenth of the threshold where they tell none."""
        deviation = float(np.std(self.held_out, ddof=1)) if len(self.held_out) > 1 else 0.0
        return deviation or abs(self.threshold) / 10 or 1.0


def rank(candidates: Sequence[Candidate], reviewed: Sequence[Statistics], model: Model) -> list[Place]:
    """The candidates, the one that teaches most first; of equal ones the order stays."""
    if not candidates:
        return []
    distances = (np.array([one.score for one in candidates]) - model.threshold) / model.spread
    near = 1 / (1 + np.abs(distances))
    novelties = _novelties(candidates, reviewed, model.training)
    places = []
    for candidate, distance, closeness, (novelty, name) in zip(candidates, distances, near, novelties, strict=True):
        novel = novelty / (1 + novelty)
        reasons = {
            DISAGREEMENT: (1.0 if candidate.disagreement else 0.0, candidate.disagreement),
            NEAR: (float(closeness), _near_sentence(float(distance))),
            NOVEL: (novel, _novel_sentence(name)),
        }
        cause = max(reasons, key=lambda one: reasons[one][0])
        worth = sum(value for value, _ in reasons.values())
        places.append(Place(candidate.key, worth, cause, reasons[cause][1]))
    return sorted(places, key=lambda place: -place.worth)


def is_blind_turn(*, done: int, done_blind: int, open_blind: int, budget: int) -> bool:
    """Whether the next part of a shift is one of the random audit, so that all that are open come within the budget.

    They are spread over it evenly, and come without a break where only as many parts are left as they are.
    """
    if not open_blind:
        return False
    if budget - done <= open_blind:
        return True
    return (done + 1) % max(1, budget // (done_blind + open_blind)) == 0


def _near_sentence(distance: float) -> str:
    side = "above" if distance > 0 else "below"
    return f"Its score lies {abs(distance):.1f} standard deviations of good parts {side} the threshold."


def _novel_sentence(name: str) -> str:
    words = WORDS.get(name, (name.replace("_", " "), ""))[0]
    return f"It looks unlike every part reviewed so far, most of all by its {words}."


def _novelties(
    candidates: Sequence[Candidate], reviewed: Sequence[Statistics], training: Mapping[str, Sequence[float]]
) -> list[tuple[float, str]]:
    """How far each candidate is from the nearest reviewed picture, and the statistic that differs most from it."""
    scales = {name: (float(np.mean(values)), float(np.std(values))) for name, values in training.items() if values}
    names = [name for name, (_, deviation) in scales.items() if math.isfinite(deviation) and deviation > 0]
    if not names:
        return [(0.0, "")] * len(candidates)

    def matrix(rows: Sequence[Statistics]) -> np.ndarray:
        """Rows of standardised statistics; what a record does not have is as in training."""
        values = [
            [(row.get(name, scales[name][0]) - scales[name][0]) / scales[name][1] for name in names] for row in rows
        ]
        return np.array(values, dtype=np.float64).reshape(len(rows), len(names))

    known = np.vstack([np.zeros((1, len(names))), matrix(reviewed)])
    rows = matrix([one.statistics for one in candidates])
    found: list[tuple[float, str]] = []
    for start in range(0, len(rows), _TOGETHER):
        differences = np.abs(known[None, :, :] - rows[start : start + _TOGETHER, None, :])
        np.minimum(differences, _MAX_DIFFERENCE, out=differences)
        squares = (differences**2).mean(axis=2)
        nearest = squares.argmin(axis=1)
        each = np.arange(len(nearest))
        largest = differences[each, nearest].argmax(axis=1)
        found += [
            (math.sqrt(square), names[index])
            for square, index in zip(squares[each, nearest].tolist(), largest.tolist(), strict=True)
        ]
    return found
