"""Runs the embedded size of the system: broker, web server and workers as child processes of one parent.

Whatever dies is started again, and what hangs is killed first; whoever stops the parent stops all. A lock on VAR_DIR
keeps a second parent away.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import IO

from django.conf import settings

from common.database import UNAVAILABLE, drop_broken_connection
from common.errors import Conflict, Unavailable
from common.files import write_whole
from jobs import broker
from jobs.processes import ProcessBegin, begin_of, die_with_parent
from mvtec_site.embedded import broker as embedded_broker

log = logging.getLogger(__name__)
_STOP_SECONDS = 30.0
_PATIENCE_SECONDS = 60.0
_MAX_PAUSE_SECONDS = 30.0
_LOOK_SECONDS = 2.0
_PREDECESSOR_SECONDS = 10.0  # for the children of a parent that was killed
_REPORT_SECONDS = 60.0
_SILENT_SECONDS = 4.0  # beyond the time for which a sign of life holds


@dataclass
class _Child:
    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    pause: float = 1.0
    due_at: float = 0.0
    # Whether it gives signs of life, where it can; None: nobody knows.
    is_alive: Callable[[], bool | None] | None = None
    silent_at: float = 0.0  # when that is too late; 0: it is not silent

    def start(self, log_file: IO[bytes]) -> None:
        self.started_at = time.monotonic()
        self.silent_at = self.started_at + _PATIENCE_SECONDS
        self.process = subprocess.Popen(
            self.command,
            stdout=log_file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=settings.BASE_DIR,
            env=_environment(),
            # A session of its own: Ctrl-C reaches the parent alone, which then stops its children in order.
            start_new_session=True,
            preexec_fn=die_with_parent,
        )

    def has_exited(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def is_hung(self) -> bool:
        """Whether it runs and has given no sign of life for too long; since its start it has longer."""
        if self.is_alive is None or self.process is None or self.has_exited():
            return False
        now, is_alive = time.monotonic(), self.is_alive()
        if is_alive:
            self.silent_at = 0.0
        elif is_alive is None:  # it is not to blame, and may need a while to find back
            self.silent_at = now + _PATIENCE_SECONDS
        elif not self.silent_at:
            self.silent_at = now + _SILENT_SECONDS
        return bool(self.silent_at) and now > self.silent_at and not is_alive

    def kill(self) -> None:
        """It and all that it started: a stopped process hears no other signal."""
        assert self.process
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


def _worker_lives(queue: str) -> bool | None:
    """Of the worker of this machine that serves the queue."""
    if f"{queue}@{socket.gethostname()}" in broker.live_workers():
        return True
    return False if broker.is_reachable() else None


def _read_begins(path: Path) -> list[ProcessBegin]:
    """What an earlier parent wrote down of its children; nothing where it was cut off."""
    with suppress(OSError, ValueError):
        return [ProcessBegin(*map(int, line.split())) for line in path.read_text().splitlines()]
    return []


# glibc gives an image's megabytes back to the system as soon as they are free, and gets them back page by page for the
# next image: a tenth of a worker's time. Kept, they are there.
_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(256 * 1024**2), "MALLOC_TRIM_THRESHOLD_": str(512 * 1024**2)}


def _environment() -> dict[str, str]:
    """Ours, with relative paths made absolute: the children start in another folder."""
    entries = settings.ENV.entries.values()
    paths = {entry.name: str(entry.value) for entry in entries if isinstance(entry.value, Path)}
    names = (f"{entry.name}_FILE" for entry in entries if entry.source == "file")
    return _KEEP_MEMORY | os.environ | paths | {name: str(Path(os.environ[name]).absolute()) for name in names}


class Supervisor:
    """`with Supervisor(host, port):` runs everything for the length of the block; `wait` blocks until a signal.

    Raises `Conflict` when another one runs on the same VAR_DIR or the port is taken, `Unavailable` when a part does
    not come up; then whatever was started is stopped again.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        say: Callable[[str], None] = lambda sentence: None,
        has_web: bool = True,
        report: Callable[[], str] | None = None,
    ) -> None:
        """`report`: a sentence about how things are, said each minute in which it is another one."""
        self.host, self.port, self.has_web = host, port, has_web
        self._say, self._report, self._reported = say, report, ""
        self._stop = threading.Event()
        self._logs = Path(settings.VAR_DIR) / "logs"
        self._lock_file: IO[str] | None = None
        self._children: list[_Child] = []
        self._are_children_noted = True

    # ------------------------------------------------------------ life
    def __enter__(self) -> Supervisor:
        self._take_lock()
        self._logs.mkdir(parents=True, exist_ok=True)
        self._end_predecessors()
        if self.has_web:
            self._require_free_port()
        self._children = self._plan()
        try:
            if broker.is_embedded():
                embedded_broker.dismiss_orphan()
            for child in self._children:
                self._start(child)
                if child.name == "broker":
                    self._wait_for("the broker", broker.is_reachable)
            if self.has_web:
                self._wait_for("the web server", self._web_answers)
            self._wait_for("the workers", self._workers_answer)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def wait(self) -> None:
        """Until SIGINT or SIGTERM; meanwhile whatever dies is started again.

        Not in a thread: children started with `die_with_parent` would die with the thread that started them.
        """

        def stop(signum: int, frame: FrameType | None) -> None:
            self._stop.set()

        for which in (signal.SIGINT, signal.SIGTERM):
            signal.signal(which, stop)
        look_at = report_at = 0.0
        while not self._stop.wait(0.5):
            self._revive()
            if time.monotonic() >= report_at:
                self._say_how_it_is()
                report_at = time.monotonic() + _REPORT_SECONDS
            if time.monotonic() >= look_at:
                self._kill_hung()
                look_at = time.monotonic() + _LOOK_SECONDS
        self._say("Stopping web server, workers and broker ..." if self.has_web else "Stopping workers and broker ...")

    def _say_how_it_is(self) -> None:
        if self._report is None:
            return
        try:
            sentence = self._report()
        except UNAVAILABLE as error:
            drop_broken_connection()
            sentence = f"The database does not answer: {error}"
        if sentence != self._reported:
            self._say(sentence)
        self._reported = sentence

    def _end(self) -> None:
        # The broker goes last: workers finish what they hold and acknowledge it.
        for group in ([c for c in self._children if c.name != "broker"], self._children):
            self._stop_children(group)
        if self._lock_file:
            self._lock_file.close()

    def _stop_children(self, children: list[_Child]) -> None:
        running = [child for child in children if child.process and child.process.poll() is None]
        for child in running:
            assert child.process
            child.process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for child in running:
            assert child.process
            try:
                child.process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.process.wait()

    def _kill_hung(self) -> None:
        for child in self._children:
            if child.is_hung():
                self._say(f"{child.name} gives no sign of life and is killed. Its log: {self._logs / child.name}.log")
                child.kill()

    def _revive(self) -> None:
        """Start again what died; later and later when it keeps dying."""
        for child in self._children:
            if not child.has_exited():
                continue
            now = time.monotonic()
            if not child.due_at:
                uptime = now - child.started_at
                child.pause = 1.0 if uptime > _MAX_PAUSE_SECONDS else min(child.pause * 2, _MAX_PAUSE_SECONDS)
                child.due_at = now + child.pause
                self._say(f"{child.name} died and is started again. Its log: {self._logs / child.name}.log")
            elif now >= child.due_at:
                child.due_at = 0.0
                self._start(child)
        if not self._are_children_noted:
            self._note_children()

    def _start(self, child: _Child) -> None:
        child.start(self._log(child.name))
        self._note_children()

    def _note_children(self) -> None:
        """For a successor, should we be killed. On a disk that is full it is tried again; nobody stops for that."""
        begins = [begin_of(one.process.pid) for one in self._children if one.process]
        try:
            with write_whole(self._children_file, durable=False) as out:
                out.write("".join(f"{begin.pid} {begin.ticks}\n" for begin in begins if begin).encode())
        except OSError as error:
            self._are_children_noted = False
            log.warning("Who runs could not be written down: %s", error)
        else:
            self._are_children_noted = True

    @property
    def _children_file(self) -> Path:
        return Path(settings.VAR_DIR) / "run.children"

    def _end_predecessors(self) -> None:
        """Children of a parent that was killed: they were told to end, finish what they hold, and keep our port.

        The caller holds the lock, so nobody else started them. What does not end in time is killed.
        """
        left = [begin for begin in _read_begins(self._children_file) if begin_of(begin.pid) == begin]
        if left:
            self._say(f"Ending {len(left)} processes of a run that was killed ...")
        deadline = time.monotonic() + _PREDECESSOR_SECONDS
        for begin in left:
            with suppress(ProcessLookupError):
                os.killpg(begin.pid, signal.SIGTERM)
        while left and time.monotonic() < deadline:
            time.sleep(0.1)
            left = [begin for begin in left if begin_of(begin.pid) == begin]
        for begin in left:
            with suppress(ProcessLookupError):
                os.killpg(begin.pid, signal.SIGKILL)

    # ------------------------------------------------------------ parts
    def _plan(self) -> list[_Child]:
        python = sys.executable
        celery = [python, "-m", "celery", "-A", "mvtec_site", "worker", "--loglevel", settings.LOG_LEVEL]
        celery += ["--without-gossip", "--without-mingle"]
        web = _Child(
            "web",
            [
                *(python, "-m", "gunicorn", "-c", "python:mvtec_site.webserver.gunicorn_settings"),
                *("--bind", f"{self.host}:{self.port}", "--access-logfile", str(self._logs / "access.log")),
            ],
        )
        children = [
            *([web] if self.has_web else []),
            _Child(
                "inference",
                [*celery, "-Q", "inference", "-n", "inference@%h", "--concurrency", "1"],
                is_alive=partial(_worker_lives, "inference"),
            ),
            _Child(
                "training",
                [*celery, "-Q", "training", "-n", "training@%h", "--pool", "solo"],
                is_alive=partial(_worker_lives, "training"),
            ),
            _Child(
                "connections",
                [python, "manage.py", "run_connections"],
                is_alive=partial(_worker_lives, "connections"),
            ),
            _Child(
                "beat",
                [python, "-m", "celery", "-A", "mvtec_site", "beat", "--loglevel", "WARNING"],
                is_alive=lambda: broker.scheduler_is_alive() or (False if broker.is_reachable() else None),
            ),
        ]
        if broker.is_embedded():
            children.insert(0, _Child("broker", embedded_broker.embedded_command(), is_alive=broker.is_reachable))
        return children

    def _log(self, name: str) -> IO[bytes]:
        return (self._logs / f"{name}.log").open("ab")

    def _take_lock(self) -> None:
        path = Path(settings.VAR_DIR) / "run.lock"
        self._lock_file = path.open("w")
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Conflict(
                f"Something runs on {settings.VAR_DIR} already. Stop it first, or set VAR_DIR to another folder."
            ) from None

    def _require_free_port(self) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                raise Conflict(
                    f"{self.host}:{self.port} cannot be listened on ({error.strerror}). Choose another with --port."
                ) from None

    def _web_answers(self) -> bool:
        with suppress(OSError), socket.create_connection((self.host, self.port), timeout=1):
            return True
        return False

    def _workers_answer(self) -> bool:
        served = {queue for queues in broker.live_workers().values() for queue in queues}
        return {"inference", "training"} <= served

    def _wait_for(self, what: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not ready():
            dead = next((child for child in self._children if child.has_exited()), None)
            if dead or time.monotonic() > deadline:
                name = dead.name if dead else what
                raise Unavailable(f"{name} did not come up. The logs in {self._logs} say why.")
            time.sleep(0.1)
