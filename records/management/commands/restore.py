"""`manage.py restore`: bring an empty installation to the state of a backup."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from common.commands import ProductCommand
from common.errors import Conflict, UserError
from records.backup.archive import restore_backup


class Command(ProductCommand):
    help = "Restore a backup into an empty installation, verify it, and change nothing if that fails."

    def add_arguments(self, parser: ArgumentParser) -> None:
        self.json_option(parser)
        parser.add_argument("file", type=Path)
        parser.add_argument("--yes", action="store_true", help="really do it")

    def perform(self, **options: Any) -> None:
        if not options["yes"]:
            raise UserError(
                f"This fills the database and the folders of this installation with what {options['file']} holds. "
                "Nothing was changed. Stop the services, then add --yes."
            )
        manifest, report = restore_backup(options["file"])
        if options["json"]:
            self.answer(asdict(manifest) | {"verified": asdict(report)})
        rows = sum(table["rows"] for table in manifest.tables)
        self.say(f"{rows} rows and {manifest.members['count'] - len(manifest.tables)} files are as in the backup.")
        if report.sentence:
            changed = report.broken_at is not None or report.reason
            what = "its audit log was changed before" if changed else "not all of it was whole when it was made"
            raise Conflict(f"The backup was restored completely, but {what}. {report.sentence}")
        self.say(f"{report.events} audit events, unbroken. Head: {report.head}")
        for notice in report.notices:
            self.say(notice)
