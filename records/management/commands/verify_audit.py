"""`manage.py verify_audit`: recompute the audit chain and name the first event that does not fit."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from mvtec_site.commands import ProductCommand
from mvtec_site.errors import Conflict
from records.selectors import verify_chain


class Command(ProductCommand):
    help = "Recompute the audit chain. Exit code 1 and the first broken event when it was tampered with."

    def add_arguments(self, parser: ArgumentParser) -> None:
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        report = verify_chain()
        if options["json"]:
            self.answer(asdict(report))
        if report.broken_at is not None:
            raise Conflict(f"The chain is broken at event {report.broken_at}: {report.reason}.")
        self.say(f"{report.events} events, unbroken. Head: {report.head}")
