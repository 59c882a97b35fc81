"""Signs of life of a worker's processes: those that do the work, and the one that feeds them.

A thread says that a process is there, which a stopped one cannot. What it works on is timed: a step that takes longer
than `HUNG_SECONDS` is an endless loop or a deadlock, and the process says no more that it lives. The parent kills a
process of its pool that has fallen silent (its message goes to another one), and a process of the pool kills a silent
parent, so that whoever started the worker starts it again.

Between the processes of one worker the signs go through a shared file in memory: they need no broker and no database.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import mmap
import os
import signal
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
SILENT_SECONDS = 10.0  # a process of the pool without a sign for so long is killed
PARENT_SILENT_SECONDS = 20.0
_START_SECONDS = 120.0  # until a worker that starts gives its first sign
_BOARD = "MVTEC_WORKER_BOARD"  # where the processes of a worker find their file


# ---------------------------------------------------------------- the shared file
class Board:
    """A slot for each process: its id and until when (monotonic clock) it is taken to be alive; 0 is the parent's."""

    SLOTS = 65
    _SLOT = struct.Struct("<qd")

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            file.truncate(self.SLOTS * self._SLOT.size)
            self._memory = mmap.mmap(file.fileno(), self.SLOTS * self._SLOT.size)

    def read(self, slot: int) -> tuple[int, float]:
        pid, until = self._SLOT.unpack_from(self._memory, slot * self._SLOT.size)
        return int(pid), float(until)

    def write(self, slot: int, pid: int, until: float) -> None:
        self._SLOT.pack_into(self._memory, slot * self._SLOT.size, pid, until)


def make_board() -> Board:
    """Called by the parent before it makes its pool."""
    handle, path = tempfile.mkstemp(prefix="mvtec-worker-")
    os.close(handle)
    os.environ[_BOARD] = path
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:
            Path(path).unlink(missing_ok=True)

    atexit.register(remove)
    board = Board(Path(path))
    board.write(0, owner, time.monotonic() + _START_SECONDS)
    return board


# ---------------------------------------------------------------- what a process works on
@dataclass(frozen=True)
class _Step:
    began: float
    limit: float | None  # seconds; None: it may take what it takes
    silent: bool = False  # it may keep even the thread from running


_step: _Step | None = None


def begin(limit: float | None) -> None:
    """The process begins a piece of work, of which each step may take `limit` seconds."""
    global _step
    _step = _Step(time.monotonic(), limit)


def end() -> None:
    global _step
    _step = None


def progress() -> None:
    """The work goes on: the time of its step begins anew. Costs nothing, and outside of a worker means nothing."""
    global _step
    if _step is not None and not _step.silent:
        _step = _Step(time.monotonic(), _step.limit)


@contextlib.contextmanager
def long_step(seconds: float) -> Iterator[None]:
    """What is known to take long, such as loading or compiling a model, and may hold up the whole process."""
    global _step
    before = _step
    if before is not None:
        _step = _Step(time.monotonic(), seconds, silent=True)
        _process.tick()
    try:
        yield
    finally:
        if before is not None:
            _step = _Step(time.monotonic(), before.limit)
            _process.tick()


def alive_until(step: _Step | None, now: float) -> float:
    """Until when a process that does this is taken to be alive; `now` or earlier: it hangs."""
    if step is None or step.limit is None:
        return now + SILENT_SECONDS
    over = step.began + step.limit
    return over if step.silent or over <= now else now + SILENT_SECONDS


class Process:
    """A process that does the work: it says that it is there, and looks after its parent."""

    def __init__(self) -> None:
        self._board: Board | None = None
        self._slot = 0
        self._strikes = 0
        self._is_reported = False

    def join(self, slot: int) -> None:
        """Called when the process begins. Without a board (no worker started us) nothing happens."""
        path = os.environ.get(_BOARD)
        if path is None or not 0 < slot < Board.SLOTS:
            return
        self._board, self._slot = Board(Path(path)), slot
        self.tick()
        threading.Thread(target=self._keep, name="sign-of-life", daemon=True).start()

    def tick(self) -> None:
        if self._board is None:
            return
        now = time.monotonic()
        until = alive_until(_step, now)
        self._board.write(self._slot, os.getpid(), until)
        if until <= now and not self._is_reported:
            log.error("One step takes longer than %g seconds: this process hangs.", settings.HUNG_SECONDS)
            self._is_reported = True

    def _keep(self) -> None:
        while True:
            self.tick()
            self._look_after_parent()
            time.sleep(TICK_SECONDS)

    def _look_after_parent(self) -> None:
        assert self._board is not None
        pid, until = self._board.read(0)
        if pid == os.getpid() or time.monotonic() <= until:
            self._strikes = 0
            return
        self._strikes += 1
        if self._strikes < 2:  # both may have been stopped, and go on
            return
        log.error("The process %d that feeds this one gives no sign of life and is killed.", pid)
        _kill(pid)
        os._exit(1)


_process = Process()
join = _process.join


# ---------------------------------------------------------------- the parent
class Parent:
    """Looks after the processes of the pool, and says to the broker that the worker lives as long as one of them does.

    `announce` and `retire` tell it. They may take their time, so they have a thread of their own.
    """

    def __init__(self, board: Board, announce: Callable[[], None], retire: Callable[[], None]) -> None:
        self._board = board
        self._announce, self._retire = announce, retire
        self._strikes: dict[int, int] = {}
        self._stop_event = threading.Event()
        self._loop_at: float | None = None

    def start(self, *, announce_every: float) -> None:
        def look() -> None:
            while True:
                self.look()
                time.sleep(TICK_SECONDS)

        def announce() -> None:
            while not self._stop_event.is_set():
                if self.can_work():
                    self._announce()
                self._stop_event.wait(announce_every)
            self._retire()

        for work in (look, announce):
            threading.Thread(target=work, name=f"signs-of-life-{work.__name__}", daemon=True).start()

    def note_loop(self) -> None:
        """Called by the loop that takes messages, where it is another one than that which does the work."""
        self._loop_at = time.monotonic()

    def leave(self) -> None:
        """It is told to stop: what is at work may end in peace."""
        self._stop_event.set()

    def look(self) -> None:
        """Say that the parent is there; kill what has fallen silent."""
        now = time.monotonic()
        self._board.write(0, os.getpid(), now + PARENT_SILENT_SECONDS)
        for slot in range(1, Board.SLOTS):
            pid, until = self._board.read(slot)
            silent = pid != 0 and until < now
            self._strikes[slot] = self._strikes.get(slot, 0) + 1 if silent else 0
            if self._strikes[slot] >= 2:  # not when all were stopped together and go on
                if _exists(pid):
                    log.error("The process %d hangs and is killed; what it had begun is done by another one.", pid)
                    _kill(pid)
                self._board.write(slot, 0, 0.0)

    def can_work(self) -> bool:
        """Whether messages are taken, and a process is there to work on them."""
        now = time.monotonic()
        if self._loop_at is not None and now - self._loop_at > PARENT_SILENT_SECONDS:
            return False
        return any(pid and until >= now for pid, until in map(self._board.read, range(1, Board.SLOTS)))


def _exists(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
