"""`manage.py run_connections`: keep the connections to the line until SIGTERM or Ctrl-C."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from common.commands import ProductCommand
from edge.running.process import Process
from jobs.metrics import publishing


class Command(ProductCommand):
    help = (
        "Keep the connections to the line: send verdicts that wait, take triggers. Runs until SIGTERM or Ctrl-C; "
        "changed connections take effect without a restart. `manage.py run` has it beside the workers; systemd and "
        "compose start it by itself."
    )

    def perform(self, **options: Any) -> None:
        process = Process()

        def stop(signum: int, frame: FrameType | None) -> None:
            process.stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        publishing.start("connections")
        self.say("Keeping the connections to the line.")
        process.run()
        self.say("Stopped.")
