"""Shortcut audit: could something that has nothing to do with defects have separated good from defective parts?

Where the defective parts of a test set were photographed under another lamp, with another camera setting, or saved by
another program, a detector can score well without ever looking at a part. This module computes what such a shortcut
would go by and compares it with the detector.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from modelzoo.evaluation.rank_metrics import Ranking

# A statistic that comes this close to the detector's AUROC could explain it.
MARGIN = 0.02
# Parts are alike in a statistic when they differ by at most this many standard deviations (Austin 2011).
CALIPER = 0.2
# Fewer alike parts than this, of either kind, and no figure is given.
MIN_MATCHED = 5


def shortcut_audit(
    scores: np.ndarray,
    defective: np.ndarray,
    raw: Sequence[Mapping[str, float] | None],
    prepared: Sequence[Mapping[str, float] | None],
) -> dict[str, Any] | None:
    """How well trivial statistics alone separate good from defective images, beside the detector.

    It is made twice: of the images as they came, and of the pixels that the model saw after preprocessing. A shortcut
    in the first that is gone in the second is one that the model could not have taken. A statistic's AUROC is the
    larger of its own and one minus it, since a shortcut may go either way; of twenty statistics on few images one is
    large by chance.

    Args:
        scores: float64 [n] of the detector; infinity where a part could not be compared.
        defective: bool [n].
        raw, prepared: [n], statistics of each image; None where there are none.

    Returns:
        None when no image of either kind has statistics, else: raw and prepared (None likewise), each with
        statistics (per name auroc and defective_are, "higher" or "lower"), worst (a name), worst_auroc,
        detector_auroc (on the same images), warning (worst_auroc comes within `margin` of it) and matched (see
        `matched_auroc`); and of the worst of both: worst, worst_input ("raw" or "prepared"), worst_auroc,
        detector_auroc, matched; warning, true where either warns; margin.
    """
    sections = {name: _section(scores, defective, rows) for name, rows in (("raw", raw), ("prepared", prepared))}
    present = {name: section for name, section in sections.items() if section}
    if not present:
        return None
    worst_input = max(present, key=lambda name: present[name]["worst_auroc"])
    worst = present[worst_input]
    return {
        **{key: worst[key] for key in ("worst", "worst_auroc", "detector_auroc", "matched")},
        "worst_input": worst_input,
        "warning": any(section["warning"] for section in present.values()),
        "margin": MARGIN,
        **sections,
    }


def _section(
    scores: np.ndarray, defective: np.ndarray, rows: Sequence[Mapping[str, float] | None]
) -> dict[str, Any] | None:
    has_statistics = [index for index, row in enumerate(rows) if row is not None]
    scores, defective = scores[has_statistics], defective[has_statistics]
    detector = Ranking.of(scores, defective).auroc() if has_statistics else None
    if detector is None:
        return None
    present = [row for row in rows if row is not None]
    columns = {name: np.array([row[name] for row in present]) for name in present[0]}
    statistics = {name: _separation(values, defective) for name, values in columns.items()}
    worst = max(statistics, key=lambda name: float(statistics[name]["auroc"]))
    return {
        "statistics": statistics,
        "worst": worst,
        "worst_auroc": statistics[worst]["auroc"],
        "detector_auroc": detector,
        "warning": bool(statistics[worst]["auroc"] >= detector - MARGIN),
        "matched": matched_auroc(scores, defective, columns[worst]),
    }


def _separation(values: np.ndarray, defective: np.ndarray) -> dict[str, Any]:
    upwards = Ranking.of(values, defective).auroc()
    assert upwards is not None  # the caller has both kinds
    return {"auroc": max(upwards, 1 - upwards), "defective_are": "higher" if upwards >= 0.5 else "lower"}


def matched_auroc(scores: np.ndarray, defective: np.ndarray, statistic: np.ndarray) -> dict[str, Any]:
    """The detector's AUROC among parts that are alike in a statistic, so that it cannot be what separates them.

    The covariate-adjusted AUROC of Janes and Pepe (2009) with a caliper: every defective part is compared only with
    the good parts whose statistic differs from its own by at most 0.2 standard deviations (pooled within the two
    kinds). The share of them that score below it, ties one half, is averaged over the defective parts that have any.

    Args:
        scores: float64 [n] of the detector.
        defective: bool [n], both kinds present.
        statistic: float64 [n].

    Returns:
        auroc, None where fewer than 5 good or 5 defective parts have a counterpart, with the reason; pairs,
        n_defective and n_good, how many were compared; caliper, in the unit of the statistic.
    """
    good, bad = statistic[~defective], statistic[defective]
    spread = math.sqrt((good.var() * len(good) + bad.var() * len(bad)) / len(statistic))
    caliper = CALIPER * spread
    order = np.argsort(good)
    good, good_scores, bad_scores = good[order], scores[~defective][order], scores[defective]
    first, last = np.searchsorted(good, bad - caliper), np.searchsorted(good, bad + caliper, side="right")
    has_counterpart = np.zeros(len(good), dtype=bool)
    placements = []
    for score, start, stop in zip(bad_scores, first, last, strict=True):
        if start < stop:
            alike = good_scores[start:stop]
            placements.append(((alike < score).sum() + (alike == score).sum() / 2) / len(alike))
            has_counterpart[start:stop] = True
    enough = min(len(placements), int(has_counterpart.sum())) >= MIN_MATCHED
    return {
        "auroc": float(np.mean(placements)) if enough else None,
        "reason": "" if enough else "too few good parts and defects are alike in it",
        "pairs": int((last - first).sum()),
        "n_defective": len(placements),
        "n_good": int(has_counterpart.sum()),
        "caliper": caliper,
    }
