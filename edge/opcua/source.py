"""Judges the parts of jobs that a client started: the newest picture, by the recipe that it named."""

from __future__ import annotations

import logging
import queue
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

from django.db import connection as database

from edge.connections.kinds import Figures, Source, Target
from edge.opcua.jobs import Job, filename_of
from edge.opcua.results import no_verdict_of
from edge.opcua.sender import exchange_of
from edge.opcua.server import READY
from edge.triggers.pictures import NoPicture, make_pictures
from edge.triggers.recipes import category_of
from edge.triggers.services import Trigger, TriggerRejected, has_request, refuse_trigger, submit_trigger
from inspection.judging.services import PartContext

log = logging.getLogger(__name__)
_LOOK_SECONDS = 0.02
_WITHOUT_LINE_TIME = 60.0


class OpcUaSource(Source):
    """One job at a time. Its verdict goes the way of all verdicts: through the outbox, by the sender."""

    def __init__(self, target: Target, figures: Figures) -> None:
        self._target, self._figures = target, figures
        self._exchange = exchange_of(target.connection_id)
        self._line = _WITHOUT_LINE_TIME if target.line_time_ms is None else target.line_time_ms / 1000
        self._pictures = make_pictures(target.settings)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="opcua-job")

    def run(self, stop: threading.Event) -> None:
        judgement: Future[None] | None = None
        while not stop.is_set():
            self.note_sign()
            if job := self._exchange.jobs.take_overdue(now=time.monotonic(), line=self._line):
                self._figures.add("triggers_overdue")
                self._say_no_verdict(job)
            if judgement is not None and judgement.done():
                judgement.result()
                judgement = None
            try:
                job = self._exchange.jobs.waiting.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
            # In a thread of its own: the line's time runs meanwhile.
            judgement = self._worker.submit(self._judge, job)

    def close(self) -> None:
        self._worker.submit(database.close)
        self._worker.shutdown()

    def _judge(self, job: Job) -> None:
        """It is answered in all cases: by the outbox where there is a request, otherwise by "no verdict"."""
        is_asked_for = False
        try:
            if time.monotonic() - job.at < self._line:  # a picture that is taken later shows another part
                is_asked_for = self._submit(job)
        finally:
            if not is_asked_for and self._exchange.jobs.take_failed(job):
                self._say_no_verdict(job)

    def _submit(self, job: Job) -> bool:
        """Whether there is a request, so that the outbox will say what became of it."""
        part = PartContext(self._target.station, job.part_number, "", job.part_id)
        trigger = Trigger(trigger_id=job.job_id, part=part, received=job.at)
        try:
            category = category_of(self._target, job.recipe)
            picture = self._pictures.newest(since=job.at, wait=self._target.settings["picture_wait_ms"] / 1000)
        except TriggerRejected as refusal:
            if isinstance(refusal, NoPicture):
                self._figures.add("pictures_missing")
            refuse_trigger(trigger, refusal, figures=self._figures)
            return False
        trigger = Trigger(
            trigger_id=job.job_id,
            part=part,
            received=job.at,
            category=category,
            filename=filename_of(job, picture.name),
            data=picture.data,
            frame=picture.frame,
        )
        reply = submit_trigger(trigger, target=self._target, figures=self._figures)
        return bool(reply["accepted"]) or has_request(trigger, target=self._target)

    def _say_no_verdict(self, job: Job) -> None:
        server = self._exchange.server
        if server is None:
            return  # its client is gone with it
        try:
            server.announce(no_verdict_of(job, self._target))
            server.set_state(READY)
        except Exception:
            log.exception("A client was not told that its job has no verdict.")
