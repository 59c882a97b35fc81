"""`manage.py edge`: everything that an edge node is, by one command."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from common.commands import ProductCommand
from common.errors import Conflict, Unavailable
from edge.centre.selectors import findings, node_status, status_sentence
from edge.centre.services import connect_as_set
from edge.centre.verification import verify_edge
from jobs.outbox import NotDelivered
from mvtec_site.embedded.supervisor import Supervisor


class Command(ProductCommand):
    help = (
        "Run an edge node until Ctrl-C: what manage.py run runs (--no-web: without the web server), and forwarding of "
        "records to the centre that EDGE_CENTRE_URL, EDGE_CENTRE_TOKEN and EDGE_NODE_NAME name. It judges without the "
        "centre, for days; what waits is sent when the centre is there. docs/edge-node.md"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--setup", action="store_true", help="say what is there and what is missing, and end")
        what.add_argument("--status", action="store_true", help="say what waits and when the centre answered, and end")
        what.add_argument(
            "--verify",
            action="store_true",
            help="compare rows, files and audit chain with each other, with the centre's receipts and with the centre",
        )
        parser.add_argument("--offline", action="store_true", help="with --verify: without asking the centre")
        parser.add_argument("--no-web", action="store_true", help="run no web server: no pages and no API on this PC")
        parser.add_argument("--host", default="127.0.0.1", help="that the web server listens on")
        parser.add_argument("--port", type=int, default=8000)
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        if options["verify"]:
            return self._verify(options)
        if options["status"]:
            if options["json"]:
                self.answer(node_status())
            return self.say(status_sentence())
        connect_as_set(actor=None)
        return self._set_up(options) if options["setup"] else self._run(options)

    def _run(self, options: dict[str, Any]) -> None:
        host, port, has_web = options["host"], options["port"], not options["no_web"]
        for finding in findings():
            if not finding.is_there:
                self.say(f"Missing: {finding.name}. {finding.sentence}")
        with Supervisor(host, port, say=self.say, has_web=has_web, report=status_sentence) as running:
            where = f"at http://{host}:{port}" if has_web else "without a web server"
            self.say(f"Running {where} (Ctrl-C stops everything).")
            running.wait()
        self.say("Stopped.")

    def _set_up(self, options: dict[str, Any]) -> None:
        found = findings()
        if options["json"]:
            self.answer([asdict(one) for one in found])
        for one in found:
            self.say(f"{'there  ' if one.is_there else 'MISSING'}  {one.name}: {one.sentence}")
        if missing := [one.name for one in found if not one.is_there]:
            raise Conflict(f"Still missing: {', '.join(missing)}. Do what is said there, then ask again.")
        self.say("Nothing is missing. Start it: manage.py edge")

    def _verify(self, options: dict[str, Any]) -> None:
        try:
            report = verify_edge(is_online=not options["offline"])
        except NotDelivered as error:
            raise Unavailable(f"The centre could not be asked, so nothing is said. {error}") from error
        if options["json"]:
            self.answer(report.as_dict())
        if report.faults:
            raise Conflict(" ".join(report.faults[:20]), code="edge_not_verified")
        self.say(
            f"{report.events} events, unbroken. Rows that agree with them: {report.records}. Files: {report.files}. "
            f"Receipts of the centre: {report.receipts}."
        )
        if report.anchors is not None:
            self.say(
                f"The centre has {report.anchors} anchors and {report.forwarded} records of this chain; all agree."
            )
