"""Celery's scheduler, which goes on when the clock of the machine was set back."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from celery.beat import PersistentScheduler, ScheduleEntry

log = logging.getLogger(__name__)
_TOLERANCE = timedelta(seconds=5)


class Scheduler(PersistentScheduler):
    """What was sent at a time that is still to come would otherwise wait for it: for hours, and with it the sweep."""

    def tick(self, *arguments: Any, **options: Any) -> float:
        ahead = [entry for entry in self.schedule.values() if _is_ahead(entry)]
        for entry in ahead:
            entry.last_run_at = entry.default_now()
        if ahead:
            log.warning("The clock was set back: %d schedules count from now on.", len(ahead))
            self._heap = None  # of when each is due
        seconds: float = super().tick(*arguments, **options)
        return seconds


def _is_ahead(entry: ScheduleEntry) -> bool:
    return entry.last_run_at is not None and entry.last_run_at > entry.default_now() + _TOLERANCE
