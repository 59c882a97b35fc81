"""`manage.py verify_audit`: recompute the audit chain and name the first event that does not fit."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from common.commands import ProductCommand
from common.errors import Conflict, UserError
from records.audit.chain.audited_rows import verify_all
from records.audit.chain.checkpoints import Checkpoint, read_checkpoints
from records.audit.chain.export import read_events
from records.audit.chain.hashes import ChainReport
from records.audit.chain.outside import checkpoints_outside
from records.audit.selectors import verify_export


class Command(ProductCommand):
    help = (
        "Recompute the audit chain and compare it with every checkpoint. If it was changed: exit code 1 and the "
        "first broken event."
    )
    requires_migrations_current = False  # an exported file needs no database

    def add_arguments(self, parser: ArgumentParser) -> None:
        self.json_option(parser)
        parser.add_argument(
            "--checkpoint", type=Path, action="append", default=[], help="a checkpoint kept elsewhere; may be repeated"
        )
        parser.add_argument(
            "--public-key", type=Path, action="append", default=[], help="a public key (PEM) to check signatures with"
        )
        parser.add_argument("--records", action="store_true", help="also compare the rows with what their events say")
        parser.add_argument(
            "--files", action="store_true", help="also compare every file that a row names with its hash"
        )
        parser.add_argument("--sample", type=int, help="of the files: that many, drawn by chance")
        parser.add_argument("--seed", default="", help="of the drawing; the same seed draws the same files again")
        parser.add_argument("--file", type=Path, help="verify an exported file, without the database")
        parser.add_argument(
            "--excerpt", action="store_true", help="the file was filtered: events may be missing, each is judged alone"
        )

    def perform(self, **options: Any) -> None:
        file = options["file"]
        if file and (options["records"] or options["files"]):
            raise UserError("--records and --files ask the database, and --file an exported file: choose one of them.")
        sample = options["sample"]
        if sample is not None and (not options["files"] or sample < 1):
            raise UserError("--sample is a number of files from 1 on, for --files.")
        if options["excerpt"] and not file:
            raise UserError("--excerpt says something about an exported file: name it with --file.")
        seals = read_checkpoints(options["checkpoint"])
        report = self._of_file(file, seals, options) if file else self._of_database(seals, options)
        if options["json"]:
            self.answer(asdict(report) | {"sentence": report.sentence, "notices": report.notices})
        if report.sentence:
            raise Conflict(report.sentence)
        self.say(f"{report.events} events, unbroken. Head: {report.head}")
        if report.first != 1:
            self.say(f"The file begins with event {report.first}; what came before is not in it.")
        if report.gaps:
            self.say(f"Events are left out in {report.gaps} places.")
        if report.checkpoints:
            self.say(f"Checkpoints that agree with it: {report.checkpoints}.")
        if report.records is not None:
            self.say(f"Rows that say what their events say: {report.records}.")
        if report.files is not None:
            drawn = f" (drawn with the seed {options['seed']!r})" if sample else ""
            self.say(f"Files that are what their rows say: {report.files}{drawn}.")
        for notice in report.notices:
            self.say(notice)

    def _of_database(self, seals: list[Checkpoint], options: dict[str, Any]) -> ChainReport:
        self._require_current_database()
        seals = [*checkpoints_outside(), *seals]
        return verify_all(
            records=options["records"],
            files=options["files"],
            sample=options["sample"],
            seed=options["seed"],
            elsewhere=seals,
            public_keys=options["public_key"],
        )

    def _of_file(self, file: Path, seals: list[Checkpoint], options: dict[str, Any]) -> ChainReport:
        return verify_export(
            read_events(file), excerpt=options["excerpt"], elsewhere=seals, public_keys=options["public_key"]
        )
