"""`manage.py apply_retention`: remove the files that the policies let go, or (`--dry-run`) say preview."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.template.defaultfilters import filesizeformat
from tqdm import tqdm

from common.commands import ProductCommand
from common.errors import Conflict, UserError
from records.models import Asset
from retention import selectors
from retention.models import RetentionRun
from retention.services import request_run, work_on_run

_COLUMNS = ("subject", "images", "maps", "orphans", "leftovers", "bytes", "oldest")


class Command(ProductCommand):
    help = "Delete the files that the retention rules allow to delete. Records are kept. Preview first: --dry-run."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--category", help=("only the files of this category (default: all, and orphaned files)"))
        parser.add_argument(
            "--dry-run", action="store_true", help=("preview: show what would be deleted, delete nothing")
        )
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        if options["category"]:
            rules: list[Any] = [selectors.policy_of(options["category"])]
        else:
            rules = [*selectors.policies_in_force(), None]
        runs = [self._carry_out(rule, options["dry_run"]) for rule in rules]
        if options["json"]:
            self.answer([selectors.run_document(run) for run in runs])
        else:
            self._show(runs)
        failed = [run for run in runs if run.status == RetentionRun.Status.FAILED]
        if failed:
            raise UserError(failed[0].error, code=failed[0].error_code)

    def _carry_out(self, rule: Any, dry_run: bool) -> RetentionRun:
        run = request_run(policy=rule, dry_run=dry_run, actor=None, here=True)
        last = Asset.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        with tqdm(total=last, desc=run.subject, unit=" files", file=sys.stderr, disable=not sys.stderr.isatty()) as bar:
            is_claimed = work_on_run(
                run_id=run.pk, seconds=None, progress=lambda now: bar.update(now.last_asset - bar.n)
            )
        if not is_claimed:
            raise Conflict(f"Another run is in progress. Run {run.pk} starts after it.")
        return selectors.find_run(run.pk)

    def _show(self, runs: list[RetentionRun]) -> None:
        rows = [
            (
                run.subject,
                *(f"{count:,}" for count in (run.images, run.maps, run.orphans, run.leftovers)),
                filesizeformat(run.size_bytes).replace("\xa0", " "),
                f"{run.oldest:%Y-%m-%d}" if run.oldest else "",
            )
            for run in runs
        ]
        widths = [max(len(str(row[i])) for row in (_COLUMNS, *rows)) for i in range(len(_COLUMNS))]
        for row in (_COLUMNS, *rows):
            self.stdout.write(
                "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            )
        for run in runs:
            for example in run.examples[:3]:
                self.stdout.write(f"  e.g. {example['what']} {example['name']}")
        self.stdout.write("Nothing was deleted." if runs[0].dry_run else "Deleted. The records are kept.")
