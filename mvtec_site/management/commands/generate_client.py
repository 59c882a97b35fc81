"""`manage.py generate_client`: write the types of the Python client from the API's schema."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from common.commands import ProductCommand
from mvtec_site import client_shapes


class Command(ProductCommand):
    help = "Write the types of the Python client from the API's schema, after a change to its serializers."
    requires_migrations_current = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="write nothing; fail where the file is not up to date")

    def perform(self, **options: Any) -> None:
        text = client_shapes.render(client_shapes.current_schema())
        if client_shapes.SHAPES.read_text(encoding="utf-8") != text:
            if options["check"]:
                raise CommandError(f"{client_shapes.SHAPES} is not up to date. Run manage.py generate_client.")
            client_shapes.SHAPES.write_text(text, encoding="utf-8")
        self.say(f"{client_shapes.SHAPES} is up to date.")
