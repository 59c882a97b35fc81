"""Figures of what-if, beside those of the history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.benchmarks import Benchmark, Tell


def _what_if(options: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    from tuning.benchmarks import history

    return history.figures(tell)


def _text(document: dict[str, Any]) -> str:
    from tuning.benchmarks import history

    return history.as_text(document)


BENCHMARKS = [Benchmark("history", "what-if over its stored scores", _what_if, _text)]
