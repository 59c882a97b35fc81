"""Evaluation of scores and anomaly maps against labels, one image at a time, in bounded memory.

Every figure is taken on raw scores. What was tuned on the evaluated images says so in its name or documentation.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from modelzoo.detectors.errors import DetectorError
from modelzoo.evaluation.intervals import INTERVAL_METHOD, LEVEL, proportion_interval, ranking_intervals
from modelzoo.evaluation.pixel_metrics import PixelHistogram
from modelzoo.evaluation.rank_metrics import Ranking
from modelzoo.evaluation.shortcuts import shortcut_audit

_HISTOGRAM_BINS = 40
Statistics = Mapping[str, float]


@dataclass
class Confusion:
    """Counts of decisions; positive means defective."""

    tp: int = 0
    fp: int = 0
    tn: int = 0
    fn: int = 0

    def add(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Count boolean decisions against boolean truth of the same shape."""
        true_positives = int(np.count_nonzero(predicted & truth))
        n_predicted, positive = int(np.count_nonzero(predicted)), int(np.count_nonzero(truth))
        self.tp += true_positives
        self.fp += n_predicted - true_positives
        self.fn += positive - true_positives
        self.tn += predicted.size - n_predicted - positive + true_positives

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


@dataclass(frozen=True)
class _ImageResult:
    """One image's result; a score of infinity means that it could not be compared."""

    score: float
    defect: str | None
    raw: Statistics | None
    prepared: Statistics | None


@dataclass
class MetricsCollector:
    """Collects one evaluated image after another; memory grows by a few numbers per image.

    A part that could not be compared (`errors.NotComparable`) is never counted as accepted, since a person has to
    look at it: it ranks above every score, and it counts as rejected, whether it is good or defective. It has no
    pixels, so the pixel figures are those of the comparable parts.

    Attributes:
        threshold: the deployed one; defective is score > threshold. It also serves as the pixel threshold.
    """

    threshold: float
    _images: list[_ImageResult] = field(default_factory=list)
    _reasons: Counter[str] = field(default_factory=Counter)
    _pixels: PixelHistogram = field(default_factory=PixelHistogram)
    _pixel_confusion: Confusion = field(default_factory=Confusion)
    _masked_images: int = 0
    _peaks_in_defect: int = 0
    _ignored_shares: list[float] = field(default_factory=list)
    _defects_ignored: int = 0

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
        *,
        ignored: np.ndarray | None = None,
        raw: Statistics | None = None,
        prepared: Statistics | None = None,
    ) -> None:
        """Take in one image.

        Args:
            score: raw image score.
            is_defective: what the part is.
            defect_type: its kind; ignored for good parts, "defective" when there is none.
            anomaly_map: float [h,w], raw. With a mask of another size it is brought to the mask's, bilinearly.
            mask: [H,W], defective pixels are not 0. A good part without one counts as all good at the size of its
                map, so give maps in the original image's size; a defective part without one leaves pixels out.
            ignored: bool [h,w], of the size of the map: pixels that are not judged, which are left out of the pixel
                figures.
            raw, prepared: statistics (`shortcuts`) of the image as it came and of the pixels that the model saw, for
                the shortcut audit, which is made of the images that have them.

        Raises:
            DetectorError: for values that are not finite or arrays that are not two-dimensional.
        """
        if not math.isfinite(score):
            raise DetectorError(f"The score {score!r} is not a finite number.")
        if anomaly_map is not None:
            self._add_pixels(np.asarray(anomaly_map, dtype=np.float32), is_defective, mask, ignored)
        self._images.append(_ImageResult(float(score), _kind(is_defective, defect_type), raw, prepared))

    def add_not_comparable(
        self, is_defective: bool, defect_type: str | None = None, *, reason: str, raw: Statistics | None = None
    ) -> None:
        """Take in an image that has no score; `reason` is that of the `NotComparable` error."""
        self._images.append(_ImageResult(math.inf, _kind(is_defective, defect_type), raw, None))
        self._reasons[reason] += 1

    def _add_pixels(
        self, anomaly_map: np.ndarray, is_defective: bool, mask: np.ndarray | None, ignored: np.ndarray | None
    ) -> None:
        if ignored is not None:
            self._ignored_shares.append(float(ignored.mean()))
        if mask is None and is_defective:
            return
        truth = np.zeros(anomaly_map.shape, dtype=bool) if mask is None else np.asarray(mask) != 0
        if anomaly_map.ndim != 2 or truth.ndim != 2:
            raise DetectorError(f"Maps and masks have two dimensions, these have {anomaly_map.ndim} and {truth.ndim}.")
        if not np.isfinite(anomaly_map).all():
            raise DetectorError("The anomaly map has values that are not finite numbers.")
        if anomaly_map.shape != truth.shape:
            anomaly_map = cv2.resize(anomaly_map, truth.shape[::-1], interpolation=cv2.INTER_LINEAR)
        judged = np.ones(truth.shape, dtype=bool)
        if ignored is not None:
            judged = cv2.resize(ignored.astype(np.uint8), truth.shape[::-1], interpolation=cv2.INTER_NEAREST) == 0
            has_defect, truth = truth.any(), truth & judged
            self._defects_ignored += bool(has_defect and not truth.any())
        self._pixels.add(anomaly_map, truth, judged)
        self._pixel_confusion.add(anomaly_map[judged] > self.threshold, truth[judged])
        if truth.any():
            self._masked_images += 1
            self._peaks_in_defect += bool(truth.flat[np.argmax(anomaly_map)])

    def result(self) -> dict[str, Any]:
        """All figures, nested, JSON-safe: None where a figure is not defined, for example without defective parts.

        Keys: n, n_good, n_defective, threshold;
        image: auroc, aupr (average precision), accuracy, precision, recall, f1, false_reject_rate, confusion at the
        threshold; best_f1 and its optimal_threshold (both tuned on these images); trivial_f1 (of calling every image
        defective); intervals: level, method, and [low, high] of auroc, aupr, f1, recall and
        false_reject_rate (Clopper-Pearson); roc_curve [false-positive rate, true-positive rate] and pr_curve [recall,
        precision], thinned;
        pixel, None without any mask of a defect: auroc with auroc_uncertainty (from counting in bins), aupr, iou at
        the image threshold, best_iou with best_iou_threshold (both tuned on these images), images_with_mask,
        peak_in_defect (share of them whose map is highest inside the mask: the others are caught, if at all, for
        another reason), regions, aupro with aupro_uncertainty and pro_curve (see `PixelHistogram.region_overlap`),
        pr_curve;
        per_defect: per kind n, recall at the threshold with recall_interval, auroc against all good ones, mean_score
        (of those that could be compared);
        histogram: edges [k+1] of the scores, counts [k] of good and defective; None without a score;
        not_comparable: how many good and defective, and reasons, a count for each;
        ignored: share of an image that is not judged, on average, and images_with_no_judged_defect, how many of those
        with a mask of their defect have it nowhere else; None where everything is judged;
        shortcut_audit: see `shortcuts.shortcut_audit`; None without statistics.
        """
        scores = np.array([image.score for image in self._images], dtype=np.float64)
        defective = np.array([image.defect is not None for image in self._images], dtype=bool)
        ranking = Ranking.of(scores, defective)
        kinds = sorted({image.defect for image in self._images if image.defect is not None})
        return {
            "n": len(scores),
            "n_good": ranking.n_negative,
            "n_defective": ranking.n_positive,
            "threshold": self.threshold,
            "image": self._image_result(ranking, scores, defective),
            "pixel": self._pixel_result() if self._masked_images else None,
            "per_defect": {kind: self._defect_result(kind, scores, defective) for kind in kinds},
            "histogram": self._histogram(scores, defective),
            "not_comparable": {
                "good": int(np.isinf(scores[~defective]).sum()),
                "defective": int(np.isinf(scores[defective]).sum()),
                "reasons": dict(sorted(self._reasons.items())),
            },
            "ignored": {
                "share": float(np.mean(self._ignored_shares)),
                "images_with_no_judged_defect": self._defects_ignored,
            }
            if self._ignored_shares
            else None,
            "shortcut_audit": shortcut_audit(
                scores, defective, [image.raw for image in self._images], [image.prepared for image in self._images]
            ),
        }

    def _image_result(self, ranking: Ranking, scores: np.ndarray, defective: np.ndarray) -> dict[str, Any]:
        confusion = Confusion()
        confusion.add(scores > self.threshold, defective)
        best_f1, optimal_threshold = ranking.best_f1()
        compared = scores[np.isfinite(scores)]
        if optimal_threshold is not None:
            # Infinite where it is best to reject only what could not be compared; the largest score does the same.
            optimal_threshold = min(optimal_threshold, float(compared.max())) if compared.size else None
        has_both_kinds = ranking.n_positive and ranking.n_negative
        return {
            "auroc": ranking.auroc(),
            "aupr": ranking.aupr(),
            **confusion.result(),
            "best_f1": best_f1,
            "optimal_threshold": optimal_threshold,
            "optimal_threshold_is": "tuned on test",
            "trivial_f1": _ratio(2 * ranking.n_positive, ranking.n_positive + len(scores))
            if ranking.n_positive
            else None,
            "intervals": {
                "level": LEVEL,
                "method": INTERVAL_METHOD,
                **ranking_intervals(ranking, self.threshold),
                "recall": proportion_interval(confusion.tp, ranking.n_positive),
                "false_reject_rate": proportion_interval(confusion.fp, ranking.n_negative),
            },
            "roc_curve": ranking.roc() if has_both_kinds else None,
            "pr_curve": ranking.precision_recall() if has_both_kinds else None,
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
            "peak_in_defect": self._peaks_in_defect / self._masked_images,
            "regions": self._pixels.regions,
            **self._pixels.region_overlap(),
            "pr_curve": ranking.precision_recall(),
        }

    def _defect_result(self, kind: str, scores: np.ndarray, defective: np.ndarray) -> dict[str, Any]:
        of_kind = np.array([image.defect == kind for image in self._images], dtype=bool)
        selected = of_kind | ~defective
        compared = scores[of_kind & np.isfinite(scores)]
        n, n_detected = int(of_kind.sum()), int((scores[of_kind] > self.threshold).sum())
        return {
            "n": n,
            "recall": n_detected / n,
            "recall_interval": proportion_interval(n_detected, n),
            "auroc": Ranking.of(scores[selected], of_kind[selected]).auroc(),
            "mean_score": float(compared.mean()) if compared.size else None,
        }

    def _histogram(self, scores: np.ndarray, defective: np.ndarray) -> dict[str, Any] | None:
        """Common bins, wide enough that the threshold lies among them."""
        compared = np.isfinite(scores)
        if not compared.any():
            return None
        values = np.append(scores[compared], self.threshold)
        edges = np.histogram_bin_edges(values, bins=_HISTOGRAM_BINS)
        good, bad = (np.histogram(scores[compared & kind], edges)[0] for kind in (~defective, defective))
        return {"edges": edges.tolist(), "good": good.tolist(), "defective": bad.tolist()}


def _kind(is_defective: bool, defect_type: str | None) -> str | None:
    return (defect_type or "defective") if is_defective else None


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
