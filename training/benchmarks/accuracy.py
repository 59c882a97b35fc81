"""The table of the README: every detector on every data set, over several seeds, with what speaks against it."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from django.conf import settings

from common.errors import UserError
from modelzoo.evaluation.calibration import percentile_threshold
from modelzoo.evaluation.rank_metrics import Ranking
from training.benchmarks.runs import Contestant
from training.datasets.selectors import images_of
from training.models import Dataset, DatasetImage
from training.runs.execution.evaluation import evaluate_images

Report = Callable[[str], None]
# Columns of the table: heading and where the figure lies in an evaluation.
FIGURES = {
    "image AUROC": ("image", "auroc"),
    "AUPR": ("image", "aupr"),
    "best F1": ("image", "best_f1"),
    "F1": ("image", "f1"),
    "false rejects": ("image", "false_reject_rate"),
    "recall": ("image", "recall"),
    "recall at 5 % false rejects": ("image", "recall_at_5"),
    "pixel AUROC": ("pixel", "auroc"),
    "AUPRO": ("pixel", "aupro"),
}


def measure(
    datasets: Sequence[Dataset],
    contestants: Sequence[Contestant],
    seeds: Sequence[int],
    defaults: Mapping[str, Any],
    *,
    tell: Report,
) -> list[dict[str, Any]]:
    """One row per data set and detector. Thresholds come from held-out good images, never from the test images."""
    rows = []
    for dataset in datasets:
        tests = images_of(dataset, DatasetImage.Split.TEST)
        if not tests:
            raise UserError(f"{dataset} has no test images.", code="no_test_images")
        for contestant in contestants:
            runs = []
            for seed in seeds:
                tell(f"{dataset.name}, {contestant.name}, seed {seed}")
                runs.append(_run(dataset, tests, contestant, seed, defaults))
            rows.append(row_of(dataset, contestant.name, runs))
    return rows


def _run(
    dataset: Dataset, tests: list[DatasetImage], contestant: Contestant, seed: int, defaults: Mapping[str, Any]
) -> dict[str, Any]:
    began = time.monotonic()
    images = images_of(dataset, DatasetImage.Split.TRAIN)
    detector = contestant.fitted(images, seed=seed, defaults=defaults)
    fit_seconds = time.monotonic() - began
    threshold = percentile_threshold(np.asarray(detector.held_out_scores), settings.THRESHOLD_PERCENTILE)
    scored: list[tuple[bool, float]] = []
    metrics = evaluate_images(
        detector,
        tests,
        threshold,
        progress=lambda fraction, sentence: None,
        # What cannot be compared is rejected whatever the threshold.
        each=lambda image, score: scored.append((image.is_defective, math.inf if score is None else score)),
    )
    return {
        "seed": seed,
        "fit_seconds": round(fit_seconds, 1),
        "backbone": detector.backbone_info,
        "illumination": detector.preprocessing.decisions.get("illumination", {}).get("chosen", "none"),
        "align": detector.preprocessing.decisions.get("align", {}).get("chosen", "none"),
        "input_size": list(detector.input_size),
        "n": metrics["n"],
        "not_comparable": metrics["not_comparable"],
        "trivial_f1": metrics["image"]["trivial_f1"],
        "shortcut_audit": metrics["shortcut_audit"],
        "figures": figures(metrics, scored),
    }


def figures(metrics: Mapping[str, Any], scored: Sequence[tuple[bool, float]]) -> dict[str, float | None]:
    """`FIGURES` of one run, None where one is not defined.

    Args:
        metrics: of `MetricsCollector.result`.
        scored: whether it is defective and the raw score of every test image.
    """
    ranking = Ranking.of(np.array([score for _, score in scored]), np.array([is_bad for is_bad, _ in scored]))
    image = metrics["image"] | {"recall_at_5": ranking.recall_at(0.05)}
    groups = {"image": image, "pixel": metrics["pixel"] or {}}
    return {name: groups[group].get(key) for name, (group, key) in FIGURES.items()}


def row_of(dataset: Dataset, detector: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """A row of the table: what all runs share, and the spread of their figures over the seeds."""
    first = runs[0]
    return {
        "dataset": dataset.name,
        "dataset_snapshot": dataset.snapshot,
        "detector": detector,
        "backbone": first["backbone"],
        "illumination": first["illumination"],
        "align": first["align"],
        "input_size": first["input_size"],
        "threshold": f"{settings.THRESHOLD_PERCENTILE:g}th percentile of held-out good images",
        "trivial_f1": first["trivial_f1"],
        "figures": {name: _spread(run["figures"][name] for run in runs) for name in FIGURES},
        "fit_seconds": _spread(run["fit_seconds"] for run in runs),
        "runs": runs,
    }


def _spread(values: Iterable[float | None]) -> dict[str, float] | None:
    """Median, least and greatest over the seeds; None where a figure is not defined."""
    numbers = [value for value in values if value is not None]
    return {"median": statistics.median(numbers), "least": min(numbers), "most": max(numbers)} if numbers else None


def as_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table for the README: median (least to greatest) over the seeds."""
    headings = ["data set", "detector", "preprocessing", *FIGURES, "calling all defective: F1"]
    headings += ["best trivial statistic: file / model's input", "fit"]
    lines = ["| " + " | ".join(headings) + " |", "|" + " --- |" * len(headings)]
    for row in rows:
        cells = [row["dataset"], row["detector"] + _weights(row), _preprocessing(row)]
        cells += [_cell(row["figures"][name]) for name in FIGURES]
        cells += [_number(row["trivial_f1"]), _shortcut(row["runs"][0]["shortcut_audit"])]
        cells += [f"{row['fit_seconds']['median']:.0f} s"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


SUMMARY = ("image AUROC", "AUPRO", "recall at 5 % false rejects")


def summary_as_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line for each data set, the median over the seeds of `SUMMARY` for each detector, then their mean and worst.

    Beside it the best trivial statistic of the files: a detector that does no better may have learnt the lamp.
    """
    detectors = list(dict.fromkeys(row["detector"] for row in rows))
    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    by_pair = {(row["dataset"], row["detector"]): row for row in rows}
    lines = [
        "| data set | " + " | ".join(detectors) + " | best trivial statistic |",
        "|" + " --- |" * (len(detectors) + 2),
    ]
    for dataset in datasets:
        cells = [" / ".join(_number(value) for value in _medians(by_pair.get((dataset, one)))) for one in detectors]
        audit = next(row for row in rows if row["dataset"] == dataset)["runs"][0]["shortcut_audit"]
        lines.append(f"| {dataset} | " + " | ".join(cells) + f" | {_shortcut(audit)} |")
    for name, combine in (("mean", statistics.fmean), ("worst", min)):
        cells = []
        for one in detectors:
            columns = zip(*(_medians(by_pair.get((dataset, one))) for dataset in datasets), strict=True)
            numbers = ([value for value in column if value is not None] for column in columns)
            cells.append(" / ".join(_number(combine(column) if column else None) for column in numbers))
        lines.append(f"| **{name}** | " + " | ".join(cells) + " | |")
    return "\n".join(lines) + "\n"


def _medians(row: Mapping[str, Any] | None) -> list[float | None]:
    if row is None:
        return [None] * len(SUMMARY)
    return [spread["median"] if (spread := row["figures"][name]) else None for name in SUMMARY]


def _cell(spread: Mapping[str, float] | None) -> str:
    if spread is None:
        return "-"
    if _number(spread["least"]) == _number(spread["most"]):
        return _number(spread["median"])
    return f"{_number(spread['median'])} ({_number(spread['least'])}-{_number(spread['most'])})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _weights(row: Mapping[str, Any]) -> str:
    backbone = row["backbone"]
    return f" ({backbone['name']} `{backbone['sha256'][:8]}`)" if backbone else ""


def _preprocessing(row: Mapping[str, Any]) -> str:
    height, width = row["input_size"]
    return f"{row['illumination']}, {row['align']}, {height}x{width}"


def _shortcut(audit: Mapping[str, Any]) -> str:
    return " / ".join(
        f"{audit[pixels]['worst']} {_number(audit[pixels]['worst_auroc'])}" if audit.get(pixels) else "-"
        for pixels in ("raw", "prepared")
    )
