"""What all our management commands share: one JSON document on stdout, everything else on stderr, clear endings."""

from __future__ import annotations

import json
import sys
from abc import abstractmethod
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from common.context import acting
from common.errors import UserError


class ProductCommand(BaseCommand):
    """Subclasses implement `perform` and raise `UserError`; `--json` is theirs to offer with `json_option`."""

    requires_migrations_current = True

    def json_option(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print exactly one JSON document to stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if self.requires_migrations_current:
                self._require_current_database()
            with acting("command"):
                self.perform(**options)
        except UserError as error:
            raise CommandError(str(error)) from error
        except OperationalError as error:
            raise CommandError(f"The database does not answer: {error}".strip()) from error
        except KeyboardInterrupt:
            self.stderr.write("Cancelled.")
            sys.exit(130)

    @abstractmethod
    def perform(self, **options: Any) -> None:
        """The work of the command."""

    def say(self, sentence: str) -> None:
        """For people; never mixed into the JSON."""
        self.stderr.write(sentence)

    def answer(self, document: Any) -> None:
        self.stdout.write(json.dumps(document, cls=DjangoJSONEncoder, indent=1, allow_nan=False))

    def _require_current_database(self) -> None:
        """Bring an embedded database up to date; a shared one is migrated by whoever runs it."""
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if not plan:
            return
        if connection.vendor != "sqlite":
            raise CommandError("The database is not up to date. Run manage.py migrate first.")
        executor.migrate(executor.loader.graph.leaf_nodes())
