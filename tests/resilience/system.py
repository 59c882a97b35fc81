"""What faults are tried on: the running system as people start it on one machine."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import psycopg2
import redis

from tests import parts
from tests.environment import ROOT
from tests.stack.conftest import DISC, Stack, new_stack, peopled, trained, wait_for

if TYPE_CHECKING:
    from tests.resilience.failing_storage import FailingStorage
    from tests.resilience.surroundings import Clock

# What a kill means: a name, the words of a command line, and whether the processes below it are meant instead.
PARTS = {
    "web server": ("gunicorn", False),
    "web server's child": ("gunicorn", True),
    "inference worker": ("-Q inference", False),
    "inference worker's child": ("-Q inference", True),
    "training worker": ("-Q training", False),
    "scheduler": ("celery -A mvtec_site beat", False),
    "broker": ("valkey", False),
}


@dataclass
class System:
    """A running stack, its processes, and what of its surroundings can be made to fail."""

    stack: Stack
    storage: FailingStorage | None = None
    clock: Clock | None = None

    def processes_of(self, part: str) -> list[psutil.Process]:
        words, below = PARTS[part]
        found = [process for process in self.stack.children() if words in _command_line(process)]
        pids = {process.pid for process in found}
        return [process for process in found if not below or _parent(process) in pids]

    def kill(self, part: str) -> int:
        """kill -9; of several of a kind (workers) all."""
        victims = self.processes_of(part)
        for victim in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()
        return len(victims)

    def broker_socket(self) -> Path:
        """Of the embedded broker, by which everything reaches it."""
        [broker] = self.processes_of("broker")
        [listening] = {one.laddr for one in broker.net_connections("unix") if str(one.laddr).startswith("/")}
        return Path(str(listening))

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """What stands in the database, asked past the system; %s in place of each value. Empty while it is away."""
        address = self.stack.environment["DATABASE_URL"]
        if address:
            while_there = contextlib.suppress(psycopg2.OperationalError)
            with (
                while_there,
                contextlib.closing(psycopg2.connect(address)) as connection,
                connection.cursor() as cursor,
            ):
                cursor.execute(statement, values)
                return cursor.fetchall()
            return []
        file = f"file:{self.stack.var_dir}/db.sqlite3?mode=ro"
        with contextlib.closing(sqlite3.connect(file, uri=True, timeout=30)) as database:
            return database.execute(statement.replace("%s", "?"), values).fetchall()

    def wait_until_whole(self, seconds: float = 120) -> None:
        """Web server, broker and both kinds of workers answer again."""

        def is_whole() -> bool:
            with contextlib.suppress(httpx.HTTPError), self.stack.client() as client:
                return client.get("/readyz", timeout=10).status_code == 200
            return False

        wait_for(is_whole, seconds, self.stack.log.read_text)

    def memory(self) -> dict[str, int]:
        """Resident bytes of web server and inference workers, children included."""
        sizes = {"web": 0, "worker": 0}
        for name, part in (("web", "web server"), ("worker", "inference worker")):
            for process in self.processes_of(part):
                with contextlib.suppress(psutil.NoSuchProcess):
                    sizes[name] += process.memory_info().rss
        return sizes


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _parent(process: psutil.Process) -> int:
    try:
        return process.ppid()
    except psutil.Error:
        return 0


@contextlib.contextmanager
def running_system(
    environment: Mapping[str, str] = MappingProxyType({}), *, trains: bool = False, folder: Path | None = None
) -> Iterator[System]:
    """The embedded system with a loaded detector. Its VAR_DIR is made in `folder`.

    `trains`: it trains the detector itself, because its files are not where those of other installations are.
    """
    installation = peopled() if trains else trained()
    # Whoever waits for a worker that died asks again soon.
    settings = {"ANSWER_TIMEOUT": "5"} | dict(environment)
    with contextlib.ExitStack() as running:
        with _temporary_files_in(folder):
            stack = running.enter_context(new_stack(installation, **settings))
        if trains:
            data = parts.write_dataset(Path(f"{stack.var_dir}-data") / "disc")
            stack.json("train", "--model", "padim", "--dataset", str(data), *DISC)
        system = System(stack)
        stack.start()
        with stack.client() as client:
            answer: Any = client.post("/api/load_model", json={})
            assert answer.status_code == 200, answer.text
        system.wait_until_whole()
        yield system
        _last_words(system)


@contextlib.contextmanager
def _temporary_files_in(folder: Path | None) -> Iterator[None]:
    before = tempfile.tempdir
    tempfile.tempdir = str(folder) if folder else before
    try:
        yield
    finally:
        tempfile.tempdir = before


@contextlib.contextmanager
def another_worker(system: System, queue: str, *options: str) -> Iterator[psutil.Process]:
    """A worker beside that of the system, until the block is left."""
    name = f"{queue}@second"
    words = ["-m", "celery", "-A", "mvtec_site", "worker", "--without-gossip", "--without-mingle", "-Q", queue]
    with (system.stack.var_dir / f"second-{queue}-worker.log").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *words, *options, "-n", name],
            cwd=ROOT,
            env=system.stack.environment | {"LOG_LEVEL": "INFO"},
            stdout=out,
            stderr=out,
        )
        try:
            with contextlib.closing(redis.Redis(unix_socket_path=str(system.broker_socket()))) as broker:
                wait_for(lambda: broker.exists(f"worker:{name}"), 60)
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(60)


def _last_words(system: System) -> None:
    """Ctrl-C, so that what is under way ends before it is looked at no more."""
    if system.stack.process and system.stack.process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            system.stack.stop()
