"""`manage.py verify_node`: whether what an edge node forwarded is still what its audit chain said."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from common.commands import ProductCommand
from common.errors import Conflict
from edge.nodes.selectors import find_node_by_name
from edge.nodes.verification import report_document, verify_node


class Command(ProductCommand):
    help = (
        "At the centre: compare the records of an edge node with the states of its audit chain that are anchored here. "
        "Asks nothing of the node. Exit code 1 and what differs where they do not agree."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        self.json_option(parser)
        parser.add_argument("node", help="its name")

    def perform(self, **options: Any) -> None:
        report = verify_node(find_node_by_name(options["node"]))
        if options["json"]:
            self.answer(report_document(report))
        if report.faults:
            raise Conflict(
                f"{len(report.faults)} do not agree: {'; '.join(report.faults[:20])}.", code="edge_not_verified"
            )
        self.say(
            f"{report.records} records of {report.node} agree with its audit chain, which is anchored here "
            f"{report.anchors} times, last at event {report.sequence} ({report.head or 'none'})."
        )
        if report.pending:
            self.say(f"Of them {report.pending} came after the last anchor.")
