"""The threads of one connection: one that sends what waits, and one for what comes in."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from datetime import datetime

from django.db import connection as database
from django.utils import timezone

from common.context import acting
from common.database import UNAVAILABLE, drop_broken_connection
from common.observability.ids import log_ids
from common.paths import without_server_paths
from edge.connections.kinds import TICK_SECONDS, Figures, Kind, Sender, Target
from edge.connections.models import ConnectionStatus
from edge.deliveries.documents import message_of
from edge.deliveries.models import Delivery
from edge.deliveries.queue import begin, busy_lanes, finish, give_up_old, next_in
from jobs.outbox import NotDelivered, NotReady, NotSent

log = logging.getLogger(__name__)
State = ConnectionStatus.State
_FIRST_PAUSE, _MAX_PAUSE = 0.2, 10.0  # seconds until the next opening, twice as long after each failure


class ConnectionThread(threading.Thread, ABC):
    """Opens one side of a connection again and again, until it is told to stop; says how it is."""

    def __init__(self, target: Target, kind: Kind, figures: Figures) -> None:
        super().__init__(name=f"{target.kind}-{target.connection_id}", daemon=True)
        self.target, self.kind, self.figures = target, kind, figures
        self.wake = threading.Event()
        self.stop = threading.Event()
        self.state, self.since = State.OPENING, timezone.now()
        self.error = ""
        self.error_at: datetime | None = None
        self.seen = time.monotonic()  # the last sign of life

    def end(self) -> None:
        """Tell it to stop; it may be in the middle of something."""
        self.stop.set()
        self.wake.set()

    def note_sign(self) -> None:
        self.seen = time.monotonic()

    def note_state(self, state: State) -> None:
        if state != self.state:
            self.state, self.since = state, timezone.now()

    def note_error(self, error: BaseException) -> None:
        sentence = without_server_paths(str(error) or type(error).__name__)[:500]
        if sentence != self.error or self.state != State.FAILING:
            log.warning("Connection %s: %s", self.target.name, sentence)
        self.error, self.error_at = sentence, timezone.now()

    def run(self) -> None:
        pause = _FIRST_PAUSE
        with acting("edge"), log_ids(connection=self.target.connection_id):
            while not self.stop.is_set():
                self.note_sign()
                began = time.monotonic()
                try:
                    self.work()
                except UNAVAILABLE as error:
                    drop_broken_connection()
                    log.warning("The database does not answer: %s", error)
                except (NotDelivered, OSError) as error:
                    self.note_error(error)
                    self.note_state(State.FAILING)
                except Exception as error:
                    log.exception("Connection %s failed.", self.target.name)
                    self.note_error(error)
                    self.note_state(State.FAILING)
                pause = _FIRST_PAUSE if time.monotonic() - began > _MAX_PAUSE else min(pause * 2, _MAX_PAUSE)
                self.stop.wait(pause)
        database.close()

    @abstractmethod
    def work(self) -> None:
        """Until it is told to stop, or until something fails."""


class SenderThread(ConnectionThread):
    """Sends what waits, lane by lane, in order."""

    _is_held_up = False  # the other side is there, and did not take what was sent last

    def work(self) -> None:
        assert self.kind.make_sender is not None
        self.kind.require_installed()
        sender = self.kind.make_sender(self.target, self.figures)
        try:
            try:
                sender.open()
            except (NotDelivered, OSError) as error:
                give_up_old(self.target.connection_id, str(error))
                raise
            while not self.stop.is_set():
                self.note_sign()
                self.send_waiting(sender)
                sender.tick()
                self.note_state(State.FAILING if self._is_held_up else State.OPEN)
                self.wake.wait(TICK_SECONDS)
                self.wake.clear()
        finally:
            sender.close()

    def send_waiting(self, sender: Sender) -> None:
        """One look at all lanes. Raises `NotSent` and what else says that the connection is gone."""
        for lane in busy_lanes(self.target.connection_id):
            for delivery in next_in(lane):
                if self.stop.is_set():
                    return
                if not begin(delivery) or not self._send(sender, delivery):
                    break
                self.note_sign()

    def _send(self, sender: Sender, delivery: Delivery) -> bool:
        """Whether the lane goes on behind it."""
        message = message_of(delivery, self.target, now=timezone.now())
        try:
            sender.send(message)
        except (NotSent, OSError) as error:
            # NotSent: the way is gone for all of them. OSError: nobody knows how far it came.
            finish(delivery, error)
            if not isinstance(error, NotReady):
                raise
            self.note_error(error)
            return delivery.status == Delivery.Status.FAILED
        except NotDelivered as error:
            finish(delivery, error)
            self.note_error(error)
            self._is_held_up = delivery.status != Delivery.Status.FAILED
            return delivery.status == Delivery.Status.FAILED  # a dead letter holds nobody up
        except UNAVAILABLE:
            raise
        except Exception as error:
            # A fault of ours with this one counts as an attempt, so that it becomes a dead letter in the end.
            finish(delivery, error)
            raise
        finish(delivery, None)
        self._is_held_up = False
        self.note_state(State.OPEN)
        return True


class SourceThread(ConnectionThread):
    """Takes what comes in."""

    def work(self) -> None:
        assert self.kind.make_source is not None
        self.kind.require_installed()
        source = self.kind.make_source(self.target, self.figures)
        if source is None:
            self.note_state(State.OPEN)
            while not self.stop.wait(TICK_SECONDS):
                self.note_sign()
            return
        source.note_sign = self.note_sign
        try:
            self.note_state(State.OPEN)
            source.run(self.stop)
        finally:
            source.close()
