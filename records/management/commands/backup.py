"""`manage.py backup`: everything in one tar, while the system runs."""

from __future__ import annotations

import secrets
from argparse import ArgumentParser
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.commands import ProductCommand
from common.errors import Conflict
from records.backup.archive import make_backup
from records.trigger_list import trigger_sentence


class Command(ProductCommand):
    help = "Write rows, images, maps and artifacts into one tar that can be restored on SQLite and on PostgreSQL."

    def add_arguments(self, parser: ArgumentParser) -> None:
        self.json_option(parser)
        parser.add_argument("--output", type=Path, required=True, help="folder, or a file that does not exist yet")

    def perform(self, **options: Any) -> None:
        target: Path = options["output"].absolute()
        if target.is_dir():
            # Two that begin in one second, on two machines perhaps, are two files.
            target /= f"mvtec-backup-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}.tar"
        manifest = make_backup(target)
        if options["json"]:
            self.answer(asdict(manifest) | {"file": str(target)})
        triggers = trigger_sentence()
        rows = sum(table["rows"] for table in manifest.tables)
        self.say(f"{rows} rows and {manifest.members['count'] - len(manifest.tables)} files in {target}.")
        for what, files in (("missing", manifest.missing), ("damaged", manifest.damaged)):
            if files["count"]:
                raise Conflict(
                    f"The backup is there, but {files['count']} files that records point at were {what} already "
                    f"({', '.join(files['names'][:3])}). Look at the disk, and keep your earlier backups."
                )
        if triggers:
            raise Conflict(f"The backup is there. {triggers}")
