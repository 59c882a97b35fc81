"""Figures of the history and of the pages."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from common.benchmarks import Benchmark, Tell
from common.errors import UserError


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=3, help="the median of this many is reported (default 3)")
    parser.add_argument(
        "--combinations", type=int, default=200, help="of three and of four filters, each (default 200)"
    )
    parser.add_argument("--ingest", type=int, default=200, help="records to write, which stay (default 200)")
    parser.add_argument("--export", type=int, default=200_000, help="records to export at most (default 200,000)")


def _history(options: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    from inspection.benchmarks import history

    sizes = {name: options[name] for name in ("rounds", "combinations", "ingest", "export")}
    if min(sizes.values()) < 1:
        raise UserError(f"{', '.join(f'--{name}' for name in sizes)} must be at least 1.")
    return history.measure(**sizes, tell=tell)


def _history_text(document: dict[str, Any]) -> str:
    from inspection.benchmarks import history

    return history.as_text(document)


def _page_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=5, help="the median of this many is reported (default 5)")


def _pages(options: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    from inspection.benchmarks import pages

    if options["rounds"] < 1:
        raise UserError("--rounds must be at least 1.")
    return pages.measure(rounds=options["rounds"], tell=tell)


def _pages_text(document: dict[str, Any]) -> str:
    from inspection.benchmarks import pages

    return pages.as_text(document)


BENCHMARKS = [
    Benchmark(
        "history", "pages, filters, export and ingest of a synthetic history", _history, _history_text, _arguments
    ),
    Benchmark("pages", "server time of every page", _pages, _pages_text, _page_arguments),
]
