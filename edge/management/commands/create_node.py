"""`manage.py create_node`: an edge node at its centre, and its token."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from common.commands import ProductCommand
from edge.nodes.services import create_node


class Command(ProductCommand):
    help = "At the centre: make an edge node. Prints its token, once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="small letters, digits and -")
        parser.add_argument("--station", default="", help="whose records it may forward; without it any")

    def perform(self, **options: Any) -> None:
        _, token = create_node(name=options["name"], station=options["station"], actor=None)
        self.stdout.write(token)
