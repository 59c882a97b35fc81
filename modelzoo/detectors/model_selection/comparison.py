"""How well a candidate finds synthetic defects, and whether it does so better than another by more than chance.

Each held-out good image is scored as it is, and once with a defect of each kind. All candidates see the same images, so
that they are compared image by image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modelzoo.detectors.synthetic_defects.defects import DefectSpec
from modelzoo.evaluation.rank_metrics import Ranking

# A candidate is better by more than chance when it is in so many of the resamples.
CONFIDENCE = 0.95
_RESAMPLES = 400


@dataclass(frozen=True)
class TrialScores:
    """Scores of a candidate. What it could not compare has a score of infinity: it would be rejected.

    Attributes:
        clean: float64 [n], of held-out good images.
        defective: float64 [n,k], of the same images with one defect each.
    """

    clean: np.ndarray
    defective: np.ndarray

    def detected(self, rate: float) -> np.ndarray:
        """bool [n,k]: what lies above the threshold at which that share of good parts is rejected."""
        return np.asarray(self.defective > threshold(self.clean, rate))

    def detection(self, rate: float) -> float:
        """Share of the synthetic defects that are found."""
        return float(self.detected(rate).mean())

    def auroc(self) -> float:
        """Probability that an image with a synthetic defect scores above a good one."""
        scores = np.concatenate([self.clean, self.defective.ravel()])
        value = Ranking.of(scores, np.arange(len(scores)) >= len(self.clean)).auroc()
        assert value is not None  # there are images of both kinds
        return value

    def by(self, specs: Sequence[Sequence[DefectSpec]], attribute: str, rate: float) -> dict[str, float]:
        """Detection for each kind, size or contrast."""
        detected, groups = self.detected(rate), np.array([[getattr(spec, attribute) for spec in row] for row in specs])
        return {str(name): float(detected[groups == name].mean()) for name in dict.fromkeys(groups.ravel().tolist())}


def threshold(clean: np.ndarray, rate: float) -> float:
    """The score that a new good part exceeds with that probability at most; of few images the highest."""
    ranked = np.sort(clean)
    return float(ranked[min(len(ranked), math.ceil((len(ranked) + 1) * (1 - rate) - 1e-9)) - 1])


@dataclass(frozen=True)
class Difference:
    """By how much a candidate is better than another.

    Attributes:
        detection, auroc: differences of the figures.
        confidence: share of the resamples of the held-out images in which it is better, ties counting one half.
    """

    detection: float
    auroc: float
    confidence: float

    @property
    def is_beyond_chance(self) -> bool:
        return self.confidence >= CONFIDENCE and (self.detection, self.auroc) > (0, 0)


def compare(candidate: TrialScores, other: TrialScores, rate: float, seed: int = 0) -> Difference:
    """By detection at the rate; where that is the same for both, by AUROC. A paired bootstrap over the images."""
    n = len(candidate.clean)
    draws = np.random.default_rng(seed).integers(0, n, (_RESAMPLES, n))
    detection = candidate.detection(rate) - other.detection(rate)
    measure = _resampled_detection if detection else _resampled_auroc
    differences = measure(candidate, draws, rate) - measure(other, draws, rate)
    confidence = float(((differences > 0) + (differences == 0) / 2).mean())
    return Difference(detection, candidate.auroc() - other.auroc(), confidence)


def _resampled_detection(scores: TrialScores, draws: np.ndarray, rate: float) -> np.ndarray:
    """float64 [draws]: the detection among the images of each draw, at the threshold that these images give."""
    return np.array([TrialScores(scores.clean[draw], scores.defective[draw]).detection(rate) for draw in draws])


def _resampled_auroc(scores: TrialScores, draws: np.ndarray, rate: float) -> np.ndarray:
    pairs = scores.defective[:, None, :] - np.where(np.isinf(scores.clean), 1e300, scores.clean)[None, :, None]
    wins = ((pairs > 0) + (pairs == 0) / 2).mean(axis=2)
    counts = np.stack([np.bincount(draw, minlength=len(scores.clean)) for draw in draws]) / draws.shape[1]
    return np.einsum("di,ij,dj->d", counts, wins, counts)
