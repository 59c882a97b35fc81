"""Coverage of the intervals of random audits, and what the order of the review queue is worth."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from common.benchmarks import Benchmark, Tell
from common.errors import UserError
from training.datasets.imports import find_dataset


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--shifts", type=int, default=2000, help="simulated shifts of each scenario (2000)")
    parser.add_argument("--seed", type=int, default=0)


def _random_audit(options: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    from quality.benchmarks import random_audit

    return random_audit.figures(tell, shifts=options["shifts"], seed=options["seed"])


def _text(document: dict[str, Any]) -> str:
    from quality.benchmarks import random_audit

    return random_audit.as_text(document)


def _queue_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--datasets", nargs="+", required=True, help="names of imported data sets, or paths")
    parser.add_argument("--detector", default="padim", help="as for accuracy (default padim)")
    parser.add_argument("--budget", type=int, default=20, help="reviews (default 20)")
    parser.add_argument("--draws", type=int, default=200, help="of the random order (default 200)")
    parser.add_argument("--backbone", default="auto", help="pretrained network (default auto)")


def _review_queue(options: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    from quality.benchmarks import review_queue
    from training.benchmarks.runs import Contestant

    if min(options["budget"], options["draws"]) < 1:
        raise UserError("--budget and --draws must be at least 1.")
    return review_queue.measure(
        [find_dataset(name) for name in options["datasets"]],
        Contestant.parse(options["detector"]),
        {"backbone": options["backbone"], "device": "cpu", "image_size": settings.IMAGE_SIZE},
        budget=options["budget"],
        draws=options["draws"],
        tell=tell,
    )


def _review_queue_text(document: dict[str, Any]) -> str:
    from quality.benchmarks import review_queue

    return review_queue.as_text(document)


BENCHMARKS = [
    Benchmark("random-audit", "in how many simulated shifts its bounds hold", _random_audit, _text, _arguments),
    Benchmark(
        "review-queue",
        "wrong verdicts that reviews find in the queue's order, at random and by score",
        _review_queue,
        _review_queue_text,
        _queue_arguments,
    ),
]
