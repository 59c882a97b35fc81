"""What detectors are worth with few good images: AUROC with 5, 10, 20, 50 and all of them, over random draws.

The draws of one number are nested in those of the next, so that a row shows what more images change. Beside them stands
what a threshold of so few held-out images can promise, which no detector changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from django.conf import settings

from common.errors import UserError
from modelzoo.evaluation.learning_curve import percentile_rank, promised_rate, rate_interval
from modelzoo.evaluation.rank_metrics import Ranking
from modelzoo.evaluation.sample_size import expected_false_reject_rate
from training.benchmarks.runs import Contestant
from training.datasets.selectors import images_of
from training.models import Dataset, DatasetImage
from training.runs.execution.evaluation import judge
from training.runs.execution.runner import source_of

ALL = "all"


def measure(
    datasets: Sequence[Dataset],
    contestants: Sequence[Contestant],
    sizes: Sequence[int],
    defaults: Mapping[str, Any],
    *,
    draws: int,
    max_test_images: int,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """A row for each data set and detector, and for each number of images what a threshold can promise.

    Args:
        sizes: numbers of good images; those that a data set does not have more of are left out for it.
        max_test_images: good ones and defective ones at most, each evenly spaced over all.
    """
    rows = []
    for dataset in datasets:
        train = images_of(dataset, DatasetImage.Split.TRAIN)
        tests = _thinned(images_of(dataset, DatasetImage.Split.TEST), max_test_images)
        if len({image.is_defective for image in tests}) < 2:
            raise UserError(f"{dataset} has no test images of both good parts and defects.", code="no_test_images")
        for contestant in contestants:
            aurocs: dict[str, list[float]] = {}
            for size in [size for size in sizes if size < len(train)]:
                for draw in range(draws):
                    order = np.random.default_rng(draw).permutation(len(train))
                    chosen = [train[index] for index in sorted(order[:size].tolist())]
                    auroc = _auroc(contestant, draw, defaults, chosen, tests)
                    aurocs.setdefault(str(size), []).append(auroc)
                    tell(f"{dataset.name}, {contestant.name}, {size} images, draw {draw}: AUROC {auroc:.3f}")
            aurocs[ALL] = [_auroc(contestant, 0, defaults, train, tests)]
            tell(f"{dataset.name}, {contestant.name}, all {len(train)} images: AUROC {aurocs[ALL][0]:.3f}")
            rows.append(
                {
                    "dataset": dataset.name,
                    "dataset_snapshot": dataset.snapshot,
                    "detector": contestant.name,
                    "n_training": len(train),
                    "n_test": len(tests),
                    "auroc": {size: {"mean": float(np.mean(of)), "each": of} for size, of in aurocs.items()},
                }
            )
    percentile = settings.THRESHOLD_PERCENTILE
    thresholds = {
        str(size): {
            "promised_rate": promised_rate(size),
            "expected_rate": expected_false_reject_rate(percentile, size),
            "rate_interval": rate_interval(size, percentile_rank(size, 1 - percentile / 100)),
        }
        for size in sizes
    }
    return {"sizes": list(sizes), "percentile": percentile, "rows": rows, "thresholds": thresholds}


def _thinned(images: list[DatasetImage], at_most: int) -> list[DatasetImage]:
    chosen = []
    for is_defective in (False, True):
        of_kind = [image for image in images if image.is_defective == is_defective]
        count = min(at_most, len(of_kind))
        chosen += [of_kind[round(index)] for index in np.linspace(0, len(of_kind) - 1, count)]
    return chosen


def _auroc(
    contestant: Contestant,
    seed: int,
    defaults: Mapping[str, Any],
    train: list[DatasetImage],
    tests: list[DatasetImage],
) -> float:
    detector = contestant.detector(seed=seed, defaults=defaults)
    detector.fit(source_of(train, detector))
    # A part that cannot be compared is rejected whatever the threshold.
    scores = [math.inf if result.score is None else result.score for result in judge(detector, tests)]
    auroc = Ranking.of(np.array(scores), np.array([image.is_defective for image in tests])).auroc()
    assert auroc is not None  # there are both kinds
    return auroc


def as_text(document: Mapping[str, Any]) -> str:
    """Markdown: mean AUROC (least to greatest over the draws), and the promises of a threshold."""
    sizes = [str(size) for size in document["sizes"]]
    lines = [_line(["data set", "detector", *(f"{size} images" for size in sizes), "all"])]
    lines.append("|" + " --- |" * (len(sizes) + 3))
    for row in document["rows"]:
        cells = [_cell(row["auroc"].get(size)) for size in sizes]
        lines.append(
            _line([row["dataset"], row["detector"], *cells, f"{_cell(row['auroc'][ALL])}, {row['n_training']} images"])
        )
    promises = [document["thresholds"][size] for size in sizes]
    percentile = f"{document['percentile']:g}th percentile"
    lines.append(_line(["threshold", "can promise", *(f"{100 * one['promised_rate']:.1f} %" for one in promises), ""]))
    lines.append(
        _line(
            [
                "threshold",
                f"{percentile} rejects",
                *(
                    f"{100 * one['expected_rate']:.0f} % ({100 * one['rate_interval'][0]:.0f}"
                    f"-{100 * one['rate_interval'][1]:.0f} %)"
                    for one in promises
                ),
                "",
            ]
        )
    )
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(aurocs: Mapping[str, Any] | None) -> str:
    if aurocs is None:
        return "-"
    each = aurocs["each"]
    spread = f" ({min(each):.3f}-{max(each):.3f})" if len(each) > 1 else ""
    return f"{aurocs['mean']:.3f}{spread}"
