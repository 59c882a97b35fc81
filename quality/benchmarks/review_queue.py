"""Whether the order of the review queue teaches more: reviews in its order, at random and by the score, on data sets.

A detector is fitted on the training images, its first threshold set as `train` does, and the test images are the
records that nobody reviewed. Reviews say the truth. Counted are the wrong verdicts that the reviews find, and the wrong
verdicts on all test images at the threshold that the reviews then suggest. Nothing is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.conf import settings

from common.errors import UserError
from modelzoo.detectors.engines.base import FP32
from modelzoo.detectors.engines.selection import open_scorer
from modelzoo.evaluation.calibration import percentile_threshold
from modelzoo.loading.scoring import ImageScore, LoadedModel, score
from quality.review_queue.order import Candidate, Model, Statistics, rank
from training.benchmarks.runs import Contestant
from training.datasets.selectors import images_of
from training.models import Dataset, DatasetImage
from training.runs.execution.image_statistics import training_statistics
from training.runs.execution.runner import source_of

QUEUE, RANDOM, HIGHEST = "queue", "random", "score"
ORDERS = (QUEUE, RANDOM, HIGHEST)


@dataclass(frozen=True)
class Part:
    """A test image: its score, what it is, and its image statistics."""

    score: float
    is_defective: bool
    statistics: Statistics


def measure(
    datasets: Sequence[Dataset],
    contestant: Contestant,
    defaults: Mapping[str, Any],
    *,
    budget: int,
    draws: int,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """A row for each data set. `draws`: of the random order, of which means are told."""
    rows = []
    for dataset in datasets:
        parts, model = _judged(dataset, contestant, defaults)
        row = {"dataset": dataset.name, "dataset_snapshot": dataset.snapshot} | compare(
            parts, model, budget=budget, draws=draws
        )
        rows.append(row)
        tell(f"{dataset.name}: " + ", ".join(f"{name} {row[name]['found']:.1f}" for name in ORDERS))
    worst = min(rows, key=lambda row: row[QUEUE]["found"] - row[RANDOM]["found"])
    return {
        "detector": contestant.name,
        "budget": budget,
        "draws": draws,
        "rows": rows,
        "worst": {
            "dataset": worst["dataset"],
            "found_less_random": worst[QUEUE]["found"] - worst[RANDOM]["found"],
        },
    }


def compare(parts: Sequence[Part], model: Model, *, budget: int, draws: int) -> dict[str, Any]:
    """What reviews of so many parts find in each order, and how wrong the threshold is that they suggest."""
    scores = np.array([part.score for part in parts])
    truth = np.array([part.is_defective for part in parts])
    wrong = (scores > model.threshold) != truth
    orders = {
        QUEUE: [in_queue_order(parts, model, budget)],
        RANDOM: [np.random.default_rng(draw).permutation(len(parts))[:budget].tolist() for draw in range(draws)],
        HIGHEST: [np.argsort(-scores, kind="stable")[:budget].tolist()],
    }

    def outcome(order: list[list[int]]) -> dict[str, float]:
        found = [int(wrong[chosen].sum()) for chosen in order]
        errors = [
            _errors(suggested_threshold(scores[chosen], truth[chosen], model.threshold), scores, truth)
            for chosen in order
        ]
        return {"found": float(np.mean(found)), "wrong_after": float(np.mean(errors))}

    best = min(_errors(value, scores, truth) for value in [*scores, -np.inf])
    return {
        "n": len(parts),
        "defective": int(truth.sum()),
        "wrong": int(wrong.sum()),
        "wrong_at_best_threshold": best,
        **{name: outcome(order) for name, order in orders.items()},
    }


def in_queue_order(parts: Sequence[Part], model: Model, budget: int) -> list[int]:
    """One after the other: what was reviewed makes what looks like it less new."""
    left = dict(enumerate(parts))
    chosen: list[int] = []
    while left and len(chosen) < budget:
        candidates = [Candidate(index, part.score, part.statistics) for index, part in left.items()]
        first = rank(candidates, [parts[index].statistics for index in chosen], model)[0].key
        chosen.append(first)
        del left[first]
    return chosen


def suggested_threshold(scores: np.ndarray, truth: np.ndarray, present: float) -> float:
    """The threshold with the fewest wrong verdicts on the reviewed parts; of several, the one nearest to the present.

    Between two reviewed scores all thresholds are as good: their middle stands for them, unless the present one is.
    """
    ordered = np.unique(scores)
    if len(ordered) == 0:
        return present
    middles = (ordered[1:] + ordered[:-1]) / 2
    beyond = [ordered[0] - 1e-9 * max(1.0, abs(ordered[0])), ordered[-1]]
    values = [present, *middles.tolist(), *beyond]
    return min(values, key=lambda value: (_errors(value, scores, truth), abs(value - present)))


def _errors(threshold: float, scores: np.ndarray, truth: np.ndarray) -> int:
    return int(((scores > threshold) != truth).sum())


def _judged(dataset: Dataset, contestant: Contestant, defaults: Mapping[str, Any]) -> tuple[list[Part], Model]:
    """The test images as a worker judges them. Those that cannot be compared have no verdict that could be wrong."""
    tests = images_of(dataset, DatasetImage.Split.TEST)
    if len({image.is_defective for image in tests}) < 2:
        raise UserError(f"{dataset} has no test images of both good parts and defects.", code="no_test_images")
    train = images_of(dataset, DatasetImage.Split.TRAIN)
    detector = contestant.fitted(train, seed=0, defaults=defaults)
    loaded = LoadedModel(detector, open_scorer(detector, precision=FP32), "cpu")
    results = score(loaded, [image.asset.read() for image in tests])
    parts = [
        Part(result.score, image.is_defective, result.statistics)
        for image, result in zip(tests, results, strict=True)
        if isinstance(result, ImageScore)
    ]
    held_out = [float(value) for value in detector.held_out_scores]
    threshold = percentile_threshold(np.array(held_out), settings.THRESHOLD_PERCENTILE)
    return parts, Model(threshold, held_out, training_statistics(detector, source_of(train, detector)))


def as_text(document: dict[str, Any]) -> str:
    lines = [
        f"Wrong verdicts found by {document['budget']} reviews, and wrong verdicts on all test images at the threshold "
        "that they suggest",
        f"{'data set':24} {'images':>6} {'wrong':>6} {'best':>5}   " + "   ".join(f"{name:>13}" for name in ORDERS),
    ]
    for row in document["rows"]:
        figures = "   ".join(f"{row[name]['found']:5.1f} {row[name]['wrong_after']:7.1f}" for name in ORDERS)
        lines.append(
            f"{row['dataset']:24} {row['n']:6} {row['wrong']:6} {row['wrong_at_best_threshold']:5}   {figures}"
        )
    worst = document["worst"]
    return "\n".join(
        [*lines, f"Least gain over random: {worst['dataset']}, {worst['found_less_random']:+.1f} wrong verdicts found"]
    )
