"""Two sets of verdicts on the same images. Numbers only, no database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import binom

from modelzoo.evaluation.intervals import proportion_interval
from modelzoo.evaluation.metrics import Confusion
from modelzoo.evaluation.rank_metrics import Ranking


@dataclass(frozen=True)
class Verdicts:
    """What a version said of images: its scores and its threshold. A score of None, not comparable, is a rejection."""

    scores: Sequence[float | None]
    threshold: float

    @property
    def values(self) -> np.ndarray:
        """The scores; what could not be compared ranks above every score."""
        return np.array([np.inf if score is None else score for score in self.scores], dtype=np.float64)

    @property
    def rejected(self) -> np.ndarray:
        rejected: np.ndarray = self.values > self.threshold
        return rejected


def mcnemar_exact(only_one_right: int, only_other_right: int) -> float:
    """The two-sided p-value of McNemar's exact test (1947): that both are as often right where only one of them is."""
    discordant = only_one_right + only_other_right
    fewer = min(only_one_right, only_other_right)
    return min(1.0, 2 * float(binom.cdf(fewer, discordant, 0.5))) if discordant else 1.0


def compare(truth: Sequence[bool], production: Verdicts, candidate: Verdicts) -> dict[str, Any]:
    """All figures of a comparison; a rate without such images is None."""
    labels = np.array(truth, dtype=bool)
    right = {name: one.rejected == labels for name, one in (("production", production), ("candidate", candidate))}
    only_production = int((right["production"] & ~right["candidate"]).sum())
    only_candidate = int((right["candidate"] & ~right["production"]).sum())
    return {
        "images": len(labels),
        "good": int((~labels).sum()),
        "defective": int(labels.sum()),
        "production": _of_one(production, labels),
        "candidate": _of_one(candidate, labels),
        "only_production_right": only_production,
        "only_candidate_right": only_candidate,
        "mcnemar_p_value": mcnemar_exact(only_production, only_candidate),
    }


def _of_one(verdicts: Verdicts, labels: np.ndarray) -> dict[str, Any]:
    confusion = Confusion()
    confusion.add(verdicts.rejected, labels)
    counts = confusion.result()
    good, defective = int((~labels).sum()), int(labels.sum())
    wrong = confusion.fp + confusion.fn
    return {
        "threshold": verdicts.threshold,
        "auroc": Ranking.of(verdicts.values, labels).auroc() if good and defective else None,
        "recall": counts["recall"],
        "recall_interval": proportion_interval(confusion.tp, defective),
        "false_reject_rate": counts["false_reject_rate"],
        "false_reject_interval": proportion_interval(confusion.fp, good),
        "wrong": wrong,
        "error_rate": wrong / len(labels),
        "not_comparable": sum(score is None for score in verdicts.scores),
    }
