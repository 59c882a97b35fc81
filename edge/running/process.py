"""The process that keeps the connections of this installation.

It reads the rows every second: what was added, changed or disabled takes effect without a restart. Each connection has
its own threads, so that one that hangs holds nobody up; a thread without a sign of life ends the process, which its
supervisor starts again. Of several processes (two machines) one keeps a connection: who has its lease.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.db import connection as database
from django.db.models import Q
from django.utils import timezone

from common.database import UNAVAILABLE, drop_broken_connection
from common.errors import Conflict
from edge.connections.kinds import Figures
from edge.connections.models import Connection, ConnectionStatus
from edge.connections.registry import KINDS
from edge.connections.sealing import Unreadable
from edge.connections.selectors import connections, target_of
from edge.deliveries.queue import remove_old
from edge.deliveries.services import TOPIC, write_overdue_verdicts
from edge.running.threads import ConnectionThread, SenderThread, SourceThread, State
from jobs import broker

log = logging.getLogger(__name__)
NAME = "connections"  # as workers are named by their queue
LOOK_SECONDS = 1.0
_LEASE = timedelta(seconds=10)
_WRITE_SECONDS = 3.0
_OVERDUE_SECONDS = 0.05
_CLEAN_SECONDS = 3600.0
_END_SECONDS = 15.0


class Process:
    """`run` works until `stop` is set."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        # Whoever comes after us on this machine has the lock, so we are gone: its leases are ours.
        self._holder = f"{NAME}@{socket.gethostname()}"
        self._threads: dict[int, list[ConnectionThread]] = {}
        self._ending: list[ConnectionThread] = []
        self._written: dict[int, tuple[dict[str, Any], float]] = {}  # what was said last of each, and when
        self._has_line_times = False
        self._lock: IO[str] | None = None

    def run(self) -> None:
        """Raises `Conflict` where another process keeps the connections on this VAR_DIR."""
        self._take_lock()
        clock = threading.Thread(target=self._watch_line_times, name="line-times", daemon=True)
        clock.start()
        look_at = clean_at = beat_at = 0.0
        try:
            while not self.stop.is_set():
                now = time.monotonic()
                if now >= look_at:
                    self._guarded(self._look)
                    look_at = now + LOOK_SECONDS
                if now >= beat_at:
                    broker.beat(self._holder, [NAME])
                    beat_at = now + broker.BEAT_SECONDS
                if now >= clean_at:
                    self._guarded(remove_old)
                    clean_at = now + _CLEAN_SECONDS
                if broker.wait_for_notice(TOPIC, timeout=0.25):
                    self._wake()
        finally:
            self._end()
            clock.join(1)
            database.close()

    # ------------------------------------------------------------ rows and threads
    def _look(self) -> None:
        wanted = {row.pk: row for row in connections().filter(is_enabled=True)}
        self._has_line_times = any(row.line_time_ms for row in wanted.values())
        for pk, threads in list(self._threads.items()):
            row = wanted.get(pk)
            # A secret that ends changes no row, so it is looked for.
            is_same = row is not None and threads[0].target == self._target(row)
            if not is_same or not self._keep(pk, threads):
                self._retire(pk)
        self._ending = [thread for thread in self._ending if thread.is_alive()]
        being_ended = {thread.target.connection_id for thread in self._ending}
        for pk, row in wanted.items():
            if pk not in self._threads and pk not in being_ended and self._take(row):
                self._start(row)
        self._require_signs()

    def _target(self, row: Connection) -> object:
        try:
            return target_of(row)
        except Unreadable:
            return None

    def _start(self, row: Connection) -> None:
        kind = KINDS.get(row.kind)
        if kind is None:
            self._say_failing(row, f"This version knows no kind of connection {row.kind}.")
            return
        try:
            target = target_of(row)
        except Unreadable:
            self._say_failing(row, "Its secrets were stored with another SECRET_KEY. Set them again.")
            return
        figures = Figures()
        threads: list[ConnectionThread] = []
        if kind.make_sender is not None:
            threads.append(SenderThread(target, kind, figures))
        if kind.make_source is not None:
            threads.append(SourceThread(target, kind, figures))
        self._threads[row.pk] = threads
        for thread in threads:
            thread.start()
        log.info("Connection %s is kept.", row.name)

    def _retire(self, pk: int) -> None:
        self._written.pop(pk, None)
        for thread in self._threads.pop(pk):
            thread.end()
            self._ending.append(thread)

    def _wake(self) -> None:
        for threads in self._threads.values():
            for thread in threads:
                thread.wake.set()

    # ------------------------------------------------------------ leases and states
    def _take(self, row: Connection) -> bool:
        now = timezone.now()
        ConnectionStatus.objects.get_or_create(connection=row, defaults={"since": now})
        free = Q(holder=self._holder) | Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lt=now)
        mine = ConnectionStatus.objects.filter(free, connection=row)
        return bool(mine.update(holder=self._holder, lease_expires_at=now + _LEASE, seen_at=now))

    def _keep(self, pk: int, threads: list[ConnectionThread]) -> bool:
        """Say how a connection is and renew its lease; False where somebody else has it. One write in some seconds."""
        # One that fails makes the connection a failing one.
        worst = max(threads, key=lambda thread: [State.OPEN, State.OPENING, State.FAILING].index(thread.state))
        latest = max((thread for thread in threads if thread.error_at), key=_error_time, default=None)
        values: dict[str, Any] = {
            "state": worst.state,
            "since": worst.since,
            "revision": worst.target.revision,
            "figures": threads[0].figures.as_dict(),
        }
        if latest is not None:
            values |= {"error": latest.error, "error_at": latest.error_at}
        written, written_at = self._written.get(pk, ({}, 0.0))
        if values == written and time.monotonic() - written_at < _WRITE_SECONDS:
            return True
        silent = time.monotonic() - min(thread.seen for thread in threads)
        now = timezone.now()
        mine = ConnectionStatus.objects.filter(connection=pk, holder=self._holder)
        self._written[pk] = (values, time.monotonic())
        return bool(mine.update(**values, seen_at=now - timedelta(seconds=silent), lease_expires_at=now + _LEASE))

    def _say_failing(self, row: Connection, sentence: str) -> None:
        """Of a connection that cannot even be begun."""
        now = timezone.now()
        mine = ConnectionStatus.objects.filter(connection=row, holder=self._holder)
        mine.exclude(state=State.FAILING).update(state=State.FAILING, since=now)
        mine.update(seen_at=now, error=sentence, error_at=now)

    def _require_signs(self) -> None:
        """End the process where a thread hangs: nothing else gets rid of it."""
        for threads in self._threads.values():
            for thread in threads:
                if time.monotonic() - thread.seen > settings.HUNG_SECONDS:
                    log.error("Connection %s hangs: this process ends and is started again.", thread.target.name)
                    os._exit(1)

    def _end(self) -> None:
        for pk in list(self._threads):
            self._retire(pk)
        deadline = time.monotonic() + _END_SECONDS
        for thread in self._ending:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._guarded(self._give_leases_back)
        broker.retire(self._holder)
        if self._lock:
            self._lock.close()

    def _give_leases_back(self) -> None:
        ConnectionStatus.objects.filter(holder=self._holder).update(
            state=State.STOPPED, since=timezone.now(), holder="", lease_expires_at=None
        )

    # ------------------------------------------------------------ the line's time
    def _watch_line_times(self) -> None:
        while not self.stop.wait(_OVERDUE_SECONDS):
            if self._has_line_times:
                self._guarded(write_overdue_verdicts)
        database.close()

    # ------------------------------------------------------------ others
    def _guarded(self, work: object) -> None:
        """Without a database the process waits for it."""
        assert callable(work)
        try:
            work()
        except UNAVAILABLE as error:
            log.warning("The database does not answer: %s", error)
            drop_broken_connection()

    def _take_lock(self) -> None:
        path = Path(settings.VAR_DIR) / "connections.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = path.open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Conflict(
                f"Another process keeps the connections on {settings.VAR_DIR} already. Nothing was started."
            ) from None


def _error_time(thread: ConnectionThread) -> float:
    return thread.error_at.timestamp() if thread.error_at else 0.0
