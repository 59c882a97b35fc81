"""Judges the parts whose triggers the PLC set: the newest picture, by the recipe that the PLC named."""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

from django.db import connection as database

from edge.connections.kinds import Figures, Source, Target
from edge.modbus.exchange import exchange_of
from edge.modbus.handshake import Accepted
from edge.modbus.link import times_of
from edge.triggers.pictures import NoPicture, make_pictures
from edge.triggers.recipes import category_of
from edge.triggers.services import Trigger, TriggerRejected, has_request, refuse_trigger, submit_trigger
from inspection.judging.services import PartContext

_LOOK_SECONDS = 0.2


class ModbusSource(Source):
    """One part at a time. The verdict itself goes the way of all verdicts: through the outbox, by the sender."""

    def __init__(self, target: Target, figures: Figures) -> None:
        self._target, self._figures = target, figures
        self._exchange = exchange_of(target.connection_id)
        self._line = times_of(target).line
        self._pictures = make_pictures(target.settings)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="plc-trigger")

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.note_sign()
            try:
                accepted = self._exchange.accepted.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
            # In a thread of its own: a judgement may take longer than a thread may be silent.
            self._wait_for(self._worker.submit(self._judge, accepted))

    def close(self) -> None:
        self._worker.submit(database.close)
        self._worker.shutdown()

    def _wait_for(self, judgement: Future[None]) -> None:
        while not judgement.done():
            self.note_sign()
            time.sleep(0.002)
        judgement.result()

    def _judge(self, accepted: Accepted) -> None:
        """The PLC is answered in all cases: by the outbox where there is a request, otherwise by "no verdict"."""
        is_asked_for = False
        try:
            if time.monotonic() - accepted.at < self._line:  # a picture that is taken later shows another part
                is_asked_for = self._submit(accepted)
        finally:
            if not is_asked_for:
                self._exchange.failed.append(accepted.ticket)

    def _submit(self, accepted: Accepted) -> bool:
        """Whether there is a request, so that the outbox will say what became of it."""
        control = accepted.control
        trigger = Trigger(
            trigger_id=f"{self._exchange.run}-{accepted.ticket}",
            part=PartContext(self._target.station, control.part_number, "", control.serial_number),
            received=accepted.at,
        )
        try:
            category = category_of(self._target, control.recipe)
            picture = self._pictures.newest(since=accepted.at, wait=self._target.settings["picture_wait_ms"] / 1000)
        except NoPicture as refusal:
            self._figures.add("pictures_missing")
            refuse_trigger(trigger, refusal, figures=self._figures)
            return False
        except TriggerRejected as refusal:
            refuse_trigger(trigger, refusal, figures=self._figures)
            return False
        trigger = Trigger(
            trigger_id=trigger.trigger_id,
            part=trigger.part,
            received=trigger.received,
            category=category,
            filename=self._exchange.filename(accepted, picture.name),
            data=picture.data,
            frame=picture.frame,
        )
        reply = submit_trigger(trigger, target=self._target, figures=self._figures)
        return bool(reply["accepted"]) or has_request(trigger, target=self._target)
