"""What a section says: rows of figures, checks with their limits, and how it ended."""

from __future__ import annotations

import math
from multiprocessing.connection import Connection
from typing import Any

PASSED, FAILED = "passed", "failed"  # with checks
MEASURED = "measured"  # figures alone
SKIPPED = "skipped"  # this machine lacks something; says what
STOPPED = "stopped"  # out of time; what it had is in the report
NOT_RUN = "not run"  # the budget was used up before it
STATUSES = (PASSED, FAILED, MEASURED, SKIPPED, STOPPED, NOT_RUN)


class SkipSection(Exception):
    """What a section is about is not to be had here; the message says why."""


class Reporter:
    """Sends what a section finds to the process that prints the report, at once: it survives the section."""

    def __init__(self, sender: Connection) -> None:
        self._sender = sender

    def row(self, **facts: Any) -> None:
        """Figures, JSON-safe but for floats that are none, which become null."""
        self._sender.send(("row", {name: _plain(value) for name, value in facts.items()}))

    def check(self, name: str, value: float, limit: float) -> None:
        """Passed where the value is at most the limit."""
        check = {"name": name, "value": _plain(float(value)), "limit": limit, "passed": bool(value <= limit)}
        self._sender.send(("check", check))

    def end(self, status: str, **why: str) -> None:
        """Nothing comes after it."""
        self._sender.send(("end", {"status": status, **why}))


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    return value
