"""`manage.py verify_backup`: read a backup to its end and compare every member with its hash."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from common.commands import ProductCommand
from common.errors import Conflict
from records.backup.archive import verify_backup


class Command(ProductCommand):
    help = "Check a backup without restoring it. Needs no database. If a member differs: exit code 1 and its name."
    requires_migrations_current = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        self.json_option(parser)
        parser.add_argument("file", type=Path)

    def perform(self, **options: Any) -> None:
        manifest = verify_backup(options["file"])
        if options["json"]:
            self.answer(asdict(manifest))
        self.say(
            f"{manifest.members['count']} members are as they were written at {manifest.created_at} by version "
            f"{manifest.code_version}. The audit chain ends at event {manifest.audit['events']} with "
            f"{manifest.audit['head']}."
        )
        for what, files in (("missing", manifest.missing), ("damaged", manifest.damaged)):
            if files["count"]:
                raise Conflict(
                    f"The backup is as it was written, but {files['count']} files that records point at were {what} "
                    f"already ({', '.join(files['names'][:3])}). An earlier backup may have them."
                )
