"""`manage.py benchmark WHAT`: figures of detectors and of the history, measured by the product's own code."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from common.benchmarks import benchmarks_by_name
from common.commands import ProductCommand


class Command(ProductCommand):
    help = "Measure."

    def add_arguments(self, parser: ArgumentParser) -> None:
        subparsers = parser.add_subparsers(dest="what", required=True)
        for name, parts in benchmarks_by_name().items():
            one = subparsers.add_parser(name, help=parts[0].help)
            for part in parts:
                part.arguments(one)
            self.json_option(one)

    def perform(self, **options: Any) -> None:
        document: dict[str, Any] = {}
        lines = []
        for part in benchmarks_by_name()[options["what"]]:
            figures = part.measure(options, self.say)
            document |= figures
            lines.append(part.as_text(figures))
        if options["json"]:
            self.answer(document)
        else:
            self.stdout.write("\n".join(lines))
        if document.get("interrupted"):
            sys.exit(130)
