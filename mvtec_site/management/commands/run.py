"""`manage.py run`: web server, workers and broker on this machine, until Ctrl-C."""

from __future__ import annotations

import socket
from argparse import ArgumentParser
from typing import Any

from django.conf import settings

from common.commands import ProductCommand
from mvtec_site.embedded.supervisor import Supervisor

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def host_names_sentence(host: str) -> str:
    """By which names others can call a server that listens to them; nothing where only this machine can."""
    names = settings.ALLOWED_HOSTS
    if host in _LOOPBACK or "*" in names:
        return ""
    return (
        f"It answers to these host names and refuses others (ALLOWED_HOSTS): {', '.join(names)}. To be called by the "
        f"name of this machine: ALLOWED_HOSTS={','.join([*names, socket.gethostname()])}"
    )


class Command(ProductCommand):
    help = "Run web server, workers and (when REDIS_URL is unset) the embedded broker until Ctrl-C."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)

    def perform(self, **options: Any) -> None:
        host, port = options["host"], options["port"]
        with Supervisor(host, port, say=self.say) as running:
            self.say(f"Running at http://{host}:{port} (Ctrl-C stops everything).")
            if sentence := host_names_sentence(host):
                self.say(sentence)
            running.wait()
        self.say("Stopped.")
