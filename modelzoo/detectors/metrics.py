"""Evaluation of scores and anomaly maps against labels, one image at a time, in bounded memory.

Every figure is taken on raw scores. What was tuned on the evaluated images says so in its name or documentation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from modelzoo.detectors.errors import DetectorError

# Anomaly values are counted by the 20 leading bits of their float32 representation: sign, exponent and 11 bits of
# mantissa, which is a bin width of at most 2^-11 = 0.05 % of the value, whatever its range.
KEY_BITS = 20


@dataclass(frozen=True)
class Ranking:
    """Positives and negatives at each distinct value, from the largest value down.

    Attributes:
        values: float64 [n], strictly descending.
        positives, negatives: int64 [n], how many of each have that value.
    """

    values: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, labels: np.ndarray) -> Ranking:
        """From single scores [n] and boolean labels [n]."""
        values, where = np.unique(np.asarray(scores, dtype=np.float64), return_inverse=True)
        positives = np.bincount(where[labels], minlength=len(values))
        negatives = np.bincount(where[~labels], minlength=len(values))
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

    def best_f1(self) -> tuple[float, float] | tuple[None, None]:
        """The largest F1 over all thresholds, and a threshold t that gives it by the rule value > t."""
        hits, chosen = np.cumsum(self.positives), np.cumsum(self.positives + self.negatives)
        return self._best(2 * hits / (chosen + self.n_positive)) if self.n_positive else (None, None)

    def best_iou(self) -> tuple[float, float] | tuple[None, None]:
        """The largest intersection over union over all thresholds, and a threshold that gives it."""
        hits, false = np.cumsum(self.positives), np.cumsum(self.negatives)
        return self._best(hits / (self.n_positive + false)) if self.n_positive else (None, None)

    def _best(self, quality: np.ndarray) -> tuple[float, float]:
        best = int(np.argmax(quality))
        return float(quality[best]), math.nextafter(float(self.values[best]), -math.inf)


@dataclass
class Confusion:
    """Counts of decisions; positive means defective."""

    tp: int = 0
    fp: int = 0
    tn: int = 0
    fn: int = 0

    def add(self, decided: np.ndarray, truth: np.ndarray) -> None:
        """Count boolean decisions against boolean truth of the same shape."""
        hits = int(np.count_nonzero(decided & truth))
        chosen, positive = int(np.count_nonzero(decided)), int(np.count_nonzero(truth))
        self.tp += hits
        self.fp += chosen - hits
        self.fn += positive - hits
        self.tn += decided.size - chosen - positive + hits

    def result(self) -> dict[str, Any]:
        """accuracy, precision, recall, f1, false_reject_rate (share of good ones rejected), confusion."""
        tp, fp, tn, fn = self.tp, self.fp, self.tn, self.fn
        return {
            "accuracy": _ratio(tp + tn, tp + fp + tn + fn),
            "precision": _ratio(tp, tp + fp),
            "recall": _ratio(tp, tp + fn),
            "f1": _ratio(2 * tp, 2 * tp + fp + fn) if tp + fn else None,
            "false_reject_rate": _ratio(fp, fp + tn),
            "confusion": {"tp": tp, "fp": fp, "tn": tn, "fn": fn},
        }

    def iou(self) -> float | None:
        """Intersection over union of the positives."""
        return _ratio(self.tp, self.tp + self.fp + self.fn)


class PixelHistogram:
    """Counts of anomaly values of defective and of good pixels: 16 MiB, however many pixels are added."""

    def __init__(self) -> None:
        self.counts = np.zeros((2, 1 << KEY_BITS), dtype=np.int64)

    def add(self, values: np.ndarray, mask: np.ndarray) -> None:
        """Count float32 [H,W] values by boolean [H,W] mask."""
        # Adding 0 turns -0.0, whose bits differ, into 0.0.
        bits = (values.astype(np.float32) + np.float32(0)).view(np.uint32)
        # The bits of floats in an order that integers share: negative ones are reversed, positive ones go above.
        ordered = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
        keys = ordered >> np.uint32(32 - KEY_BITS)
        for row, part in enumerate((keys[~mask], keys[mask])):
            if part.size:
                low = int(part.min())
                counted = np.bincount(part - np.uint32(low))
                self.counts[row, low : low + len(counted)] += counted

    def ranking(self) -> Ranking:
        """Of the bins that are not empty; a value is the lower end of its bin."""
        keys = np.flatnonzero(self.counts.any(axis=0))[::-1]
        ordered = keys.astype(np.uint32) << np.uint32(32 - KEY_BITS)
        bits = np.where(ordered >> 31, ordered & np.uint32(0x7FFFFFFF), ~ordered)
        values = bits.astype(np.uint32).view(np.float32).astype(np.float64)
        return Ranking(values, self.counts[1, keys], self.counts[0, keys])


@dataclass
class Evaluation:
    """Collects one evaluated image after another; memory grows by one number per image.

    Attributes:
        threshold: the deployed one; defective is score > threshold. It also serves as the pixel threshold.
    """

    threshold: float
    _scores: list[float] = field(default_factory=list)
    _defects: list[str | None] = field(default_factory=list)
    _pixels: PixelHistogram = field(default_factory=PixelHistogram)
    _pixel_confusion: Confusion = field(default_factory=Confusion)
    _masked_images: int = 0

    def __post_init__(self) -> None:
        if not math.isfinite(self.threshold):
            raise DetectorError(f"The threshold {self.threshold!r} is not a finite number.")

    def add(
        self,
        score: float,
        is_defective: bool,
        defect_type: str | None = None,
        anomaly_map: np.ndarray | None = None,
        mask: np.ndarray | None = None,
    ) -> None:
        """Take in one image.

        Args:
            score: raw image score.
            is_defective: what the part is.
            defect_type: its kind; ignored for good parts, "defective" when there is none.
            anomaly_map: float [h,w], raw. With a mask of another size it is brought to the mask's, bilinearly.
            mask: [H,W], defective pixels are not 0. A good part without one counts as all good at the size of its
                map, so give maps in the original image's size; a defective part without one leaves pixels out.

        Raises:
            DetectorError: for values that are not finite or arrays that are not two-dimensional.
        """
        if not math.isfinite(score):
            raise DetectorError(f"The score {score!r} is not a finite number.")
        if anomaly_map is not None:
            self._add_pixels(np.asarray(anomaly_map, dtype=np.float32), is_defective, mask)
        self._scores.append(float(score))
        self._defects.append((defect_type or "defective") if is_defective else None)

    def _add_pixels(self, anomaly_map: np.ndarray, is_defective: bool, mask: np.ndarray | None) -> None:
        if mask is None and is_defective:
            return
        truth = np.zeros(anomaly_map.shape, dtype=bool) if mask is None else np.asarray(mask) != 0
        if anomaly_map.ndim != 2 or truth.ndim != 2:
            raise DetectorError(f"Maps and masks have two dimensions, these have {anomaly_map.ndim} and {truth.ndim}.")
        if not np.isfinite(anomaly_map).all():
            raise DetectorError("The anomaly map has values that are not finite numbers.")
        if anomaly_map.shape != truth.shape:
            anomaly_map = cv2.resize(anomaly_map, truth.shape[::-1], interpolation=cv2.INTER_LINEAR)
        self._pixels.add(anomaly_map, truth)
        self._pixel_confusion.add(anomaly_map > self.threshold, truth)
        self._masked_images += bool(truth.any())

    def result(self) -> dict[str, Any]:
        """All figures, nested, JSON-safe: None where a figure is not defined, for example without defective parts.

        Keys: n, n_good, n_defective, threshold;
        image: auroc, aupr (average precision), accuracy, precision, recall, f1, false_reject_rate, confusion at the
        threshold; best_f1 and its optimal_threshold (both tuned on these images); trivial_f1 (of calling every image
        defective);
        pixel, None without any mask of a defect: auroc with auroc_uncertainty (from counting in bins), aupr, iou at
        the image threshold, best_iou with best_iou_threshold (both tuned on these images), images_with_mask;
        per_defect: per kind n, recall at the threshold, auroc against all good ones, mean_score.
        """
        scores = np.array(self._scores, dtype=np.float64)
        defective = np.array([defect is not None for defect in self._defects], dtype=bool)
        ranking = Ranking.of(scores, defective)
        best_f1, optimal_threshold = ranking.best_f1()
        kinds = sorted({defect for defect in self._defects if defect is not None})
        confusion = Confusion()
        confusion.add(scores > self.threshold, defective)
        image = {
            "auroc": ranking.auroc(),
            "aupr": ranking.aupr(),
            **confusion.result(),
            "best_f1": best_f1,
            "optimal_threshold": optimal_threshold,
            "optimal_threshold_is": "tuned on test",
            "trivial_f1": _ratio(2 * ranking.n_positive, ranking.n_positive + len(scores))
            if ranking.n_positive
            else None,
        }
        return {
            "n": len(scores),
            "n_good": ranking.n_negative,
            "n_defective": ranking.n_positive,
            "threshold": self.threshold,
            "image": image,
            "pixel": self._pixel_result() if self._masked_images else None,
            "per_defect": {kind: self._defect_result(kind, scores, defective) for kind in kinds},
        }

    def _pixel_result(self) -> dict[str, Any]:
        ranking = self._pixels.ranking()
        best_iou, best_iou_threshold = ranking.best_iou()
        return {
            "auroc": ranking.auroc(),
            "auroc_uncertainty": ranking.auroc_uncertainty(),
            "aupr": ranking.aupr(),
            "iou": self._pixel_confusion.iou(),
            "best_iou": best_iou,
            "best_iou_threshold": best_iou_threshold,
            "images_with_mask": self._masked_images,
        }

    def _defect_result(self, kind: str, scores: np.ndarray, defective: np.ndarray) -> dict[str, Any]:
        of_kind = np.array([defect == kind for defect in self._defects], dtype=bool)
        compared = of_kind | ~defective
        return {
            "n": int(of_kind.sum()),
            "recall": float((scores[of_kind] > self.threshold).mean()),
            "auroc": Ranking.of(scores[compared], of_kind[compared]).auroc(),
            "mean_score": float(scores[of_kind].mean()),
        }


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
