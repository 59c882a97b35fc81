"""How far the scores of good images move under disturbances of the image (`disturbances`): `evaluate --robustness`."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np

from modelzoo.evaluation.calibration import p_value
from modelzoo.evaluation.robustness import MAX_RATE_FACTOR, TEST, TRAINING, effect, lamp_sentence, rejected_share
from modelzoo.models import Threshold
from training.models import DatasetImage
from training.runs.execution.disturbances import DISTURBANCES, Disturb, brightness
from training.runs.execution.evaluation import Progress, ScoringDetector, judge

# Good images at most, evenly spaced over all of them: each is scored up to twenty times.
MAX_IMAGES = 100
# Changes of brightness, each tried in both directions until one is too large.
BRIGHTNESS_STEPS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)


def measure_robustness(
    detector: ScoringDetector,
    images: list[DatasetImage],
    threshold: Threshold,
    held_out_scores: list[float],
    *,
    progress: Progress,
) -> dict[str, Any]:
    """The table of disturbances and how far the lamp may change, JSON-safe.

    Args:
        images: good ones, all of the test split or all of the training split.
        held_out_scores: of the version, whose standard deviation is the unit of all changes.

    Returns:
        images (`test images` or `training images`), n, threshold, spread (the unit), expected_rate with
        expected_rate_is (`requested` by the threshold's rule, or from `held-out` scores where it has none);
        baseline and disturbances, each with its title, `modelzoo.evaluation.robustness.effect` and the reasons why
        images are not comparable, counted;
        lamp: steps tried, max_rejected_share, darker and brighter (the largest change up to which no step rejects
        more), and the rejected_share of each step that was tried; sentence: the same in words.
    """
    chosen = [images[index] for index in _evenly_spaced(len(images))]
    passes_done, passes = 0, 1 + len(DISTURBANCES) + 2 * len(BRIGHTNESS_STEPS)

    def scored(label: str, disturb: Disturb | None = None) -> tuple[np.ndarray, Counter[str]]:
        """The scores, NaN where an image is not comparable, and why those are not."""
        nonlocal passes_done
        scores: list[float] = []
        reasons: Counter[str] = Counter()
        for result in judge(detector, chosen, disturb=disturb):
            scores.append(math.nan if result.score is None else result.score)
            reasons.update([result.reason] if result.score is None else [])
            progress((passes_done + len(scores) / len(chosen)) / passes, f"robustness: {label}")
        passes_done += 1
        return np.array(scores, dtype=np.float64), reasons

    spread = float(np.std(held_out_scores)) if held_out_scores else 0.0
    undisturbed = scored("as taken")
    baseline, _ = undisturbed

    def row(label: str, after: tuple[np.ndarray, Counter[str]]) -> dict[str, Any]:
        scores, reasons = after
        figures = effect(baseline, scores, threshold=threshold.value, spread=spread)
        return {"title": label, **figures, "reasons": dict(sorted(reasons.items()))}

    rows = [{"name": one.name, **row(one.label, scored(one.label, one.apply))} for one in DISTURBANCES]
    requested = threshold.requested_rate
    expected = p_value(threshold.value, held_out_scores) if requested is None else requested
    limit = min(1.0, MAX_RATE_FACTOR * expected)
    tried: dict[str, dict[str, float]] = {"darker": {}, "brighter": {}}
    largest = {}
    for direction, sign in (("darker", -1), ("brighter", 1)):
        largest[direction] = 0.0
        for step in BRIGHTNESS_STEPS if rejected_share(baseline, threshold.value) <= limit else ():
            scores, _ = scored(f"{step:.0%} {direction}", brightness(1 + sign * step))
            share = rejected_share(scores, threshold.value)
            tried[direction][f"{step:g}"] = share
            if share > limit:
                break
            largest[direction] = step
    document: dict[str, Any] = {
        "images": TRAINING if chosen[0].split == DatasetImage.Split.TRAIN else TEST,
        "n": len(chosen),
        "threshold": threshold.value,
        "spread": spread,
        "expected_rate": expected,
        "expected_rate_is": "held-out" if requested is None else "requested",
        "baseline": row("As taken", undisturbed),
        "disturbances": rows,
        "lamp": {
            "steps": list(BRIGHTNESS_STEPS),
            "max_rejected_share": limit,
            **largest,
            "rejected_share": tried,
        },
    }
    return document | {"sentence": lamp_sentence(document)}


def _evenly_spaced(n: int) -> list[int]:
    return np.unique(np.linspace(0, n - 1, min(MAX_IMAGES, n)).round().astype(int)).tolist()
