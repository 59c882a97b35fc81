"""`manage.py partition_history`: the records divided by month, on PostgreSQL."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from common.commands import ProductCommand
from common.errors import UserError
from inspection.partitions.months import Month
from inspection.partitions.services import partition_history, plan_partitions, plan_undo, undo_partitions
from inspection.partitions.statements import Plan


class Command(ProductCommand):
    help = (
        "Divide the table of records by month (PostgreSQL). Records stay as they are; what is there before the first "
        "month stays one part, not copied. Called again it finishes what is left. docs/scaling.md says what it gives."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--from", dest="first", metavar="YYYY-MM", help="the first month with a part (the next)")
        parser.add_argument("--undo", action="store_true", help="all records back into one table, which takes long")
        parser.add_argument("--dry-run", action="store_true", help="print the SQL and change nothing")

    def perform(self, **options: Any) -> None:
        if options["undo"] and options["first"]:
            raise UserError("--undo takes no month.")
        first = Month.read(options["first"]) if options["first"] else None
        if options["dry_run"]:
            self._print(plan_undo() if options["undo"] else plan_partitions(first=first))
        elif options["undo"]:
            undo_partitions(actor=None, tell=self.say)
        else:
            partition_history(first=first, actor=None, tell=self.say)

    def _print(self, plan: Plan) -> None:
        for heading, texts in (
            ("Each by itself, while everybody goes on reading and writing", plan.ahead),
            ("One transaction: whoever reads or writes records waits for its end", ["BEGIN", *plan.at_once, "COMMIT"]),
            ("Each by itself, while everybody goes on reading and writing", plan.afterwards),
        ):
            if texts and texts != ["BEGIN", "COMMIT"]:
                self.stdout.write(f"-- {heading}:")
                for text in texts:
                    self.stdout.write(f"{text};")
