"""Does a threshold keep its promise? Random splits of good parts: one side trains and calibrates, the other is judged.

For each split three thresholds for the same wanted false-reject rate are compared on good parts that were never seen:
the conformal one from held-out scores, the percentile of held-out scores, and the percentile of in-sample scores, which
shows why scores of the training images themselves will not do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from common.errors import UserError
from modelzoo.detectors.engines.base import FP32
from modelzoo.detectors.engines.selection import open_scorer
from modelzoo.evaluation.calibration import conformal_threshold, percentile_threshold
from training.benchmarks.runs import Contestant
from training.datasets.selectors import images_of
from training.models import Dataset, DatasetImage
from training.runs.execution.evaluation import ScoringDetector, judge
from training.runs.execution.runner import source_of

TRAINING_SHARE = 0.7


def measure(
    dataset: Dataset,
    contestant: Contestant,
    defaults: Mapping[str, Any],
    *,
    splits: int,
    rate: float,
    precisions: Sequence[str] = (FP32,),
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """The false-reject rates of the three thresholds, over random splits of the good training images.

    Args:
        precisions: in which unseen parts are scored, as a worker may; thresholds come from float32, as in a training.
            `auto` is whichever a worker on this machine would take.
    """
    good = images_of(dataset, DatasetImage.Split.TRAIN)
    n_training = round(TRAINING_SHARE * len(good))
    if n_training < 20 or len(good) - n_training < 5:
        raise UserError(f"{dataset} has {len(good)} good images; splitting them needs at least 29.")
    rates: dict[str, dict[str, list[float]]] = {precision: {} for precision in precisions}
    taken: dict[str, list[str]] = {precision: [] for precision in precisions}
    for split in range(splits):
        order = np.random.default_rng(split).permutation(len(good))
        training, unseen = ([good[i] for i in part] for part in (order[:n_training], order[n_training:]))
        detector = contestant.detector(seed=split, defaults=defaults)
        detector.fit(source_of(training, detector))
        held_out = np.asarray(detector.held_out_scores)
        thresholds = {
            "conformal": conformal_threshold(held_out, rate),
            "percentile": percentile_threshold(held_out, 100 * (1 - rate)),
            "in_sample": percentile_threshold(_scores(detector, training), 100 * (1 - rate)),
        }
        for precision, by_threshold in rates.items():
            scorer = open_scorer(detector, precision=precision)
            taken[precision].append(scorer.engine.precision)
            scores = _scores(scorer, unseen)
            for name, threshold in thresholds.items():
                by_threshold.setdefault(name, []).append(float((scores > threshold).mean()))
            last = ", ".join(f"{name} {values[-1]:.3f}" for name, values in by_threshold.items())
            tell(f"split {split + 1} of {splits}, {precision}: {last}")
    return {
        "dataset": dataset.name,
        "dataset_snapshot": dataset.snapshot,
        "detector": contestant.name,
        "asked": rate,
        "splits": splits,
        "n_training": n_training,
        "n_unseen": len(good) - n_training,
        "precisions": [
            {
                "precision": precision,
                "taken": dict(Counter(taken[precision])),
                "false_reject_rate": {name: _mean(values) for name, values in by_threshold.items()},
            }
            for precision, by_threshold in rates.items()
        ],
    }


def _mean(values: list[float]) -> dict[str, Any]:
    error = float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "standard_error": error, "each": values}


def _scores(detector: ScoringDetector, images: list[DatasetImage]) -> np.ndarray:
    """A part that cannot be compared is rejected, whatever the threshold."""
    largest = np.finfo(np.float64).max
    return np.array([largest if row.score is None else row.score for row in judge(detector, images)])


def as_text(document: Mapping[str, Any]) -> str:
    """The three rates as lines for a terminal."""
    lines = [
        f"{document['detector']} on {document['dataset']}: {document['splits']} random splits, "
        f"{document['n_training']} good parts to train, {document['n_unseen']} unseen, "
        f"asked for {document['asked']:.1%}"
    ]
    for scored in document["precisions"]:
        taken = ", ".join(f"{precision} {count}" for precision, count in scored["taken"].items())
        lines.append(f" {scored['precision']} (taken: {taken})")
        for name, row in scored["false_reject_rate"].items():
            error = "" if row["standard_error"] is None else f" +- {row['standard_error']:.1%}"
            lines.append(f"  {name:<12} {row['mean']:.1%}{error}")
    return "\n".join(lines)
