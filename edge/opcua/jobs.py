"""Jobs that a client started: one at a time, each answered in all cases."""

from __future__ import annotations

import queue
import re
import threading
import uuid
from collections import OrderedDict
from dataclasses import dataclass

from edge.connections.kinds import Figures, Message

_MAX_KEPT = 10_000
_FILENAME = re.compile(r"job-([0-9a-f]{8}-\d{1,9})-")

# What StartSingleJob returns as `Error`; below zero they are an application's own.
OK, BUSY, UNKNOWN_RECIPE, DOUBLED, NOT_ALLOWED, NO_JOBS = 0, -1, -2, -3, -4, -5


@dataclass(frozen=True)
class Job:
    job_id: str
    measurement: str  # MeasId: the client's own name of it
    part_id: str
    part_number: str
    recipe: int
    at: float  # monotonic seconds


class Jobs:
    """What the server, the sender and the source of one connection share. It outlives the connection."""

    def __init__(self) -> None:
        self.waiting: queue.Queue[Job] = queue.Queue()
        self._lock = threading.Lock()
        self._run, self._number = uuid.uuid4().hex[:8], 0
        self._current: Job | None = None
        self._last_measurement = ""
        self._measurements: OrderedDict[str, str] = OrderedDict()  # by job
        self._first_results: OrderedDict[str, str] = OrderedDict()  # by request, or by job

    def start(
        self, *, measurement: str, part_id: str, part_number: str, recipe: int, now: float, figures: Figures
    ) -> tuple[str, int]:
        """The id of a new job, and 0; or nothing, and why not."""
        with self._lock:
            if measurement and measurement == self._last_measurement:
                figures.add("triggers_doubled")
                return "", DOUBLED
            self._count_missing(measurement, figures)
            self._last_measurement = measurement
            if self._current is not None:
                figures.add("triggers_early")
                return "", BUSY
            self._number += 1
            job = Job(f"{self._run}-{self._number}", measurement, part_id, part_number, recipe, now)
            self._current = job
            self._measurements[job.job_id] = measurement
            _forget_old(self._measurements)
        figures.add("triggers_accepted")
        self.waiting.put(job)
        return job.job_id, OK

    def _count_missing(self, measurement: str, figures: Figures) -> None:
        """A client that counts has left some out. One that goes back has begun anew."""
        if measurement.isdecimal() and self._last_measurement.isdecimal():
            missing = int(measurement) - int(self._last_measurement) - 1
            if missing > 0:
                figures.add("triggers_missing", missing)

    @property
    def current(self) -> Job | None:
        with self._lock:
            return self._current

    def take_overdue(self, *, now: float, line: float) -> Job | None:
        """The current job where its time is over: it ends with that."""
        with self._lock:
            job = self._current
            if job is None or now - job.at < line:
                return None
            return self._end(job)

    def take_failed(self, job: Job) -> Job | None:
        """The same of a job of which no verdict will come; None where it ended before."""
        with self._lock:
            return self._end(job) if self._current == job else None

    def _end(self, job: Job) -> Job:
        self._current = None
        self._first_results[job.job_id] = ""
        _forget_old(self._first_results)
        return job

    # ------------------------------------------------------------ results
    def job_of(self, message: Message) -> tuple[str, str]:
        """Id and MeasId of the job whose part a verdict is about; nothing where it was none of these."""
        found = _FILENAME.match(str(message.document["filename"]))
        job_id = found[1] if found else ""
        with self._lock:
            return job_id, self._measurements.get(job_id, "")

    def is_supplement(self, message: Message) -> bool:
        """Whether the part was told about before, by another result."""
        job_id = self.job_of(message)[0]
        request = str(message.document["request_id"])
        with self._lock:
            first = self._first_results.get(job_id, self._first_results.get(request, message.delivery_id))
        return first != message.delivery_id

    def note_delivery(self, message: Message) -> None:
        job_id = self.job_of(message)[0]
        with self._lock:
            self._first_results.setdefault(str(message.document["request_id"]), message.delivery_id)
            _forget_old(self._first_results)
            if self._current is not None and self._current.job_id == job_id:
                self._current = None


def filename_of(job: Job, picture: str) -> str:
    """What the image of a job is called, so that its result is known again."""
    return f"job-{job.job_id}-{picture}"


def _forget_old(kept: OrderedDict[str, str]) -> None:
    while len(kept) > _MAX_KEPT:
        kept.popitem(last=False)
