"""`manage.py show_config`: every setting in force, and where it comes from."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings

from common.commands import ProductCommand


class Command(ProductCommand):
    help = "Show every setting that can be set by environment, its value and where it comes from."
    requires_migrations_current = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        rows = {
            entry.name: {
                "value": self._display_value(entry.value, entry.secret),
                "source": entry.source,
                "help": entry.help,
            }
            for entry in settings.ENV.entries.values()
        }
        if options["json"]:
            self.answer(rows)
            return
        width = max(map(len, rows))
        for name, row in rows.items():
            value = row["value"]
            text = ",".join(value) if isinstance(value, list) else str(value)
            self.stdout.write(f"{name:<{width}}  {text:<40}  {row['source']:<11}  {row['help']}")

    def _display_value(self, value: Any, secret: bool) -> Any:
        if secret:
            return "(set, not shown)" if value else ""
        if isinstance(value, tuple):
            return list(value)
        return str(value) if isinstance(value, Path) else value
