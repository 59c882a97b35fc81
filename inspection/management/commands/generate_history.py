"""`manage.py generate_history --count 1000000`: records that never happened, to measure on."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from common.commands import ProductCommand
from common.errors import Conflict, UserError


class Command(ProductCommand):
    help = "Write a synthetic history into this database: records, reviews and their audit events. They stay."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--count", type=int, required=True, help="how many records")
        parser.add_argument("--seed", type=int, default=0, help="of what is made up (default 0)")
        parser.add_argument("--yes", action="store_true", help="also where real records are")
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        from inspection.benchmarks.synthetic import generate, has_real_records

        if options["count"] < 1:
            raise UserError("--count must be at least 1.")
        if not options["yes"] and has_real_records():
            raise Conflict(
                "This database has records of real inspections, and records cannot be removed again. Nothing was "
                "written. Set DATABASE_URL or VAR_DIR to another database, or say --yes."
            )
        began = time.monotonic()
        document = generate(count=options["count"], seed=options["seed"], tell=self.say)
        seconds = time.monotonic() - began
        if options["json"]:
            self.answer(document | {"seconds": round(seconds, 1)})
        else:
            self.stdout.write(f"{document['inspections']:,} records and {document['reviews']:,} reviews were written.")
