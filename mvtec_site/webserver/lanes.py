"""Threads by kind of request: whatever hangs, hangs in its own lane, and no client has all threads of one."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mvtec_site.webserver.endpoints import Lane

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Job:
    """`owner`: the connection that waits, if one does."""

    carry_out: Callable[[], None]
    owner: Any = None
    client: str = ""
    since: float = field(default_factory=time.monotonic)


class ThreadLane:
    """A queue and at most `threads` threads, started as they are needed; they end with the process.

    Of those that wait, the client with the fewest jobs in progress is next; the last thread is for another client.
    """

    def __init__(self, name: str, threads: int) -> None:
        self.name, self.threads = name, threads
        self._queue: deque[Job] = deque()
        self._condition = threading.Condition()
        self._jobs_in_progress: Counter[str] = Counter()
        self._started = self._idle = 0

    def submit(self, job: Job) -> None:
        with self._condition:
            self._queue.append(job)
            if self._idle < len(self._queue) and self._started < self.threads:
                self._started += 1
                threading.Thread(target=self._serve, name=f"{self.name}-{self._started}", daemon=True).start()
            else:
                self._condition.notify()

    def overdue(self, seconds: float) -> list[Any]:
        """Takes out what has waited longer than so many seconds; returns the owners."""
        before = time.monotonic() - seconds
        late = []
        with self._condition:
            # What nobody's connection waits for stays, and may stand before what has waited as long.
            for job in [job for job in self._queue if job.owner is not None and job.since < before]:
                self._queue.remove(job)
                late.append(job.owner)
        return late

    def _serve(self) -> None:
        while True:
            with self._condition:
                while (job := self._next()) is None:
                    self._idle += 1
                    self._condition.wait()
                    self._idle -= 1
                self._jobs_in_progress[job.client] += 1
            try:
                job.carry_out()
            except Exception:  # the thread goes on, whatever a request did
                log.exception("A request failed in the lane %s.", self.name)
            with self._condition:
                self._jobs_in_progress[job.client] -= 1
                if not self._jobs_in_progress[job.client]:
                    del self._jobs_in_progress[job.client]

    def _next(self) -> Job | None:
        """Takes the next job out of the queue, if there is one that may run."""
        limit = max(1, self.threads - 1)
        allowed = (job for job in self._queue if not job.client or self._jobs_in_progress[job.client] < limit)
        job = min(allowed, key=lambda job: self._jobs_in_progress[job.client] if job.client else 0, default=None)
        if job is not None:
            self._queue.remove(job)
        return job


class Lanes:
    """All lanes of a process. `threads` says how many each has."""

    def __init__(self, threads: dict[Lane, int]) -> None:
        self._lanes = {lane: ThreadLane(lane, count) for lane, count in threads.items()}

    def add_task(self, channel: Any) -> None:
        """Waitress' name for: carry out the first request of this connection."""
        self._lanes[channel.lane].submit(Job(channel.service, channel, channel.client))

    def run(self, lane: Lane, carry_out: Callable[[], None]) -> None:
        self._lanes[lane].submit(Job(carry_out))

    def overdue(self, seconds: float) -> list[Any]:
        return [owner for lane in self._lanes.values() for owner in lane.overdue(seconds)]
