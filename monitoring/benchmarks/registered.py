"""Figures of drift charts."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from common.benchmarks import Benchmark, Tell


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--datasets", nargs="+", metavar="NAME", help="imported data sets (default: all with a model)")
    parser.add_argument("--lines", type=int, default=200, help="lines simulated for each drift (default 200)")
    parser.add_argument("--undisturbed-lines", type=int, default=20, help="of 5,000 undisturbed parts (default 20)")


def _measure(options: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    from monitoring.benchmarks import drift

    return drift.measure(options, tell)


def _text(document: dict[str, Any]) -> str:
    from monitoring.benchmarks import drift

    return drift.as_text(document)


BENCHMARKS = [
    Benchmark("drift", "injected drifts: how soon they are noticed, and false alarms", _measure, _text, _arguments)
]
