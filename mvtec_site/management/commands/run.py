"""`manage.py run`: web server, workers and broker on this machine, until Ctrl-C."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from mvtec_site.commands import ProductCommand
from mvtec_site.supervisor import Supervisor


class Command(ProductCommand):
    help = "Run web server, workers and (when REDIS_URL is unset) the embedded broker until Ctrl-C."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)

    def perform(self, **options: Any) -> None:
        host, port = options["host"], options["port"]
        with Supervisor(host, port, say=self.say) as running:
            self.say(f"Running at http://{host}:{port} (Ctrl-C stops everything).")
            running.wait()
        self.say("Stopped.")
