"""Checks that take a bounded time, whatever hangs, and cost little however often they are asked for."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

log = logging.getLogger(__name__)


class Failed(Exception):
    """A check did not pass: a sentence that names no host, path or secret, since anybody may read it."""


@dataclass(frozen=True)
class State:
    """What a check found last. `since`: when it began to fail; None where it passes."""

    ok: bool
    reason: str = ""
    since: datetime | None = None


class Probe:
    """A check with a deadline, whose answer is kept for some seconds.

    It runs in a thread of its own, begun by `begin` so that several run at once. One that hangs is not begun again
    before it is over: it fails, and says so.
    """

    def __init__(self, check: Callable[[], None], *, timeout: float, keep: float) -> None:
        self._check, self._timeout, self._keep = check, timeout, keep
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        self._state = State(ok=True)
        self._known_at = -math.inf
        self._began = 0.0
        self._thread: threading.Thread | None = None
        self._reason = ""

    def begin(self) -> None:
        with self._lock:
            if self._is_fresh() or (self._thread is not None and self._thread.is_alive()):
                return
            self._began = time.monotonic()
            self._thread = threading.Thread(target=self._run, name="probe", daemon=True)
            self._thread.start()

    def state(self) -> State:
        """What it found; waits for it, for what is left of its time."""
        self.begin()
        thread = self._thread
        if thread is not None and not self._is_fresh():
            thread.join(max(0.0, self._began + self._timeout - time.monotonic()))
        with self._lock:
            if self._is_fresh():
                return self._state
            late = thread is not None and thread.is_alive()
            reason = f"no answer within {self._timeout:g} seconds" if late else self._reason
            since = (self._state.since or datetime.now(UTC)) if reason else None
            self._state = State(ok=not reason, reason=reason, since=since)
            self._known_at = time.monotonic()
            return self._state

    def _is_fresh(self) -> bool:
        return time.monotonic() - self._known_at < self._keep

    def _run(self) -> None:
        try:
            self._check()
            self._reason = ""
        except Failed as error:
            self._reason = str(error)
        except Exception as error:
            log.warning("A check of readiness failed.", exc_info=error)
            self._reason = f"it failed ({type(error).__name__})"
