"""Watches a counter that the PLC counts up with each part that passes: looks at it come in, passages are written."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from datetime import datetime

from django.db import connection as database
from django.utils import timezone

from common.context import acting
from common.database import UNAVAILABLE, drop_broken_connection
from edge.connections.kinds import Figures, Target
from edge.connections.models import Connection
from edge.passages.counting import CounterSize
from edge.passages.services import PassageRejected, Report, Reported, report_passages

log = logging.getLogger(__name__)
_SOURCE = "edge"
_SIGN_SECONDS = 10.0  # between signs that the counter stands still
_WRITE_SECONDS = 0.2
_PAUSE = 1.0  # where the database does not answer
_MAX_WAITING = 10_000  # looks; what is one too many is seen as a jump


def write_reports(target: Target, station: str, reports: list[Report], size: CounterSize | None) -> Reported:
    """Passages that came over a connection. Raises `PassageRejected`."""
    with acting(_SOURCE):
        return report_passages(
            station=station, reports=reports, connection=Connection.objects.get(pk=target.connection_id), size=size
        )


def count_in(figures: Figures, reported: Reported) -> None:
    figures.add("passages", reported.written)
    for name, number in (("passages_unreported", reported.unreported), ("passage_resets", reported.resets)):
        if number:
            figures.add(name, number)


class CounterWatch:
    """`look` is called by the thread that speaks to the PLC, and waits for nothing."""

    def __init__(self, target: Target, figures: Figures, size: CounterSize | None) -> None:
        self._target, self._figures, self._size = target, figures, size
        self._looks: deque[tuple[int, datetime]] = deque(maxlen=_MAX_WAITING)
        self._last: int | None = None
        self._signed_at = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"passages-{target.connection_id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def look(self, value: int) -> None:
        now = time.monotonic()
        if value == self._last and now - self._signed_at < _SIGN_SECONDS:
            return
        self._last, self._signed_at = value, now
        self._looks.append((value, timezone.now()))

    def stop(self) -> None:
        """What was seen is written first, as far as the database answers."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def _run(self) -> None:
        pause = _WRITE_SECONDS
        while not self._stop.wait(pause):
            pause = _WRITE_SECONDS if self._write() else _PAUSE
        self._write()
        database.close()

    def _write(self) -> bool:
        """False where the database does not answer: what was seen waits."""
        looks = [self._looks.popleft() for _ in range(len(self._looks))]
        if not looks:
            return True
        reports = [Report(value=value, passed_at=at, is_look=True) for value, at in looks]
        try:
            count_in(self._figures, write_reports(self._target, self._target.station, reports, self._size))
        except UNAVAILABLE as error:
            log.warning("Passages wait, the database does not answer: %s", error)
            drop_broken_connection()
            self._looks.extendleft(reversed(looks))
            return False
        except PassageRejected as refusal:
            self._figures.add("passages_refused", len(looks))
            log.warning("A counter was not understood: %s", refusal.detail)
        return True
