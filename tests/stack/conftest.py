"""The real thing: `manage.py run` in a process of its own, on the database the run of the suite is for."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from tests import parts
from tests.environment import ROOT


@dataclass
class Stack:
    """A running system with a VAR_DIR, a database and a port of its own."""

    var_dir: Path
    port: int
    environment: dict[str, str]
    token: str = ""
    trained: Any = None  # what the training said, where there was one
    process: subprocess.Popen[bytes] | None = None
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.var_dir / "run.out"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def manage(self, *words: str, check: bool = True, typed: str | None = None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=self.environment,
            input=typed,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def json(self, *words: str) -> Any:
        return json.loads(self.manage(*words, "--json").stdout)

    def start(self) -> None:
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "run", "--port", str(self.port)],
                cwd=ROOT,
                env=self.environment,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        wait_for(lambda: self.running() and "Running at" in self.log.read_text(), 90, self.log.read_text)

    def running(self) -> bool:
        assert self.process
        assert self.process.poll() is None, self.log.read_text()
        return True

    def children(self) -> list[psutil.Process]:
        assert self.process
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []

    def kill(self, *names: str) -> int:
        """kill -9 every process whose command line has one of the words; all of them, the parent too, without."""
        victims = [p for p in self.children() if not names or any(name in " ".join(p.cmdline()) for name in names)]
        if not names:
            assert self.process
            victims.insert(0, psutil.Process(self.process.pid))
        for victim in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()
        if not names and self.process:
            self.process.wait()
        return len(victims)

    def stop(self) -> list[psutil.Process]:
        """Ctrl-C; returns what is still alive afterwards."""
        assert self.process
        family = self.children()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=60)
        return [process for process in family if process.is_running()]

    def client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return httpx.Client(base_url=self.address, headers=headers, timeout=90)


def wait_for(ready: Callable[[], Any], seconds: float, explain: Callable[[], str] = str) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := ready():
            return value
        time.sleep(0.1)
    pytest.fail(f"did not happen within {seconds} s: {explain()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def new_database(template: str = "template1") -> Iterator[str]:
    """A database beside the one of the in-process tests, a copy of another; '' means SQLite in VAR_DIR."""
    address = os.environ.get("DATABASE_URL", "")
    if not address:
        yield ""
        return
    import psycopg2

    name = f"stack_{uuid.uuid4().hex[:8]}"
    connection = psycopg2.connect(address)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield address.replace("/postgres?", f"/{name}?")
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
        connection.close()


# ---------------------------------------------------------------- installations to begin with
_KEPT = contextlib.ExitStack()
atexit.register(_KEPT.close)
DISC = ("--image-size", "64", "--backbone", "efficientnet_lite0")


@dataclass(frozen=True)
class Installation:
    """A VAR_DIR and a database to copy, in which nothing runs. Making one takes much longer than copying it."""

    var_dir: Path
    database: str
    token: str = ""
    trained: Any = None

    @contextlib.contextmanager
    def copied(self, var_dir: Path, **environment: str) -> Iterator[Stack]:
        shutil.copytree(self.var_dir, var_dir, dirs_exist_ok=True)
        with new_database(urlsplit(self.database).path.strip("/") or "template1") as database:
            own = {"VAR_DIR": str(var_dir), "DATABASE_URL": database}
            yield Stack(var_dir, free_port(), os.environ | own | environment, self.token, self.trained)


def _beginning(before: Installation | None) -> Stack:
    var_dir = Path(_KEPT.enter_context(tempfile.TemporaryDirectory(prefix="mvtec-i-", ignore_cleanup_errors=True)))
    empty = Path(_KEPT.enter_context(tempfile.TemporaryDirectory())) if before is None else before.var_dir
    return _KEPT.enter_context((before or Installation(empty, "")).copied(var_dir))


@functools.cache
def migrated() -> Installation:
    """That nobody has used yet."""
    made = _beginning(None)
    made.manage("migrate", "--verbosity", "0")
    return Installation(made.var_dir, made.environment["DATABASE_URL"])


@functools.cache
def peopled() -> Installation:
    """With an engineer, ina, and her token."""
    made = _beginning(migrated())
    made.manage("create_user", "ina", "--role", "engineer", "--password-stdin", typed="a-long-password")
    token = made.manage("create_token", "ina", "suite").stdout.strip()
    return Installation(made.var_dir, made.environment["DATABASE_URL"], token)


@functools.cache
def trained(*words: str) -> Installation:
    """With a trained, not yet loaded detector for discs besides."""
    made = _beginning(peopled())
    folder = parts.write_dataset(made.var_dir.parent / f"{made.var_dir.name}-data" / "disc")
    _KEPT.callback(shutil.rmtree, folder.parent, ignore_errors=True)
    answer = made.json("train", "--model", "padim", "--dataset", str(folder), *DISC, *words)
    return Installation(made.var_dir, made.environment["DATABASE_URL"], made.token, answer)


@contextlib.contextmanager
def new_stack(installation: Installation | None = None, **environment: str) -> Iterator[Stack]:
    """A system of its own that begins as a copy of an installation, by default one that has people alone."""
    var_dir = Path(tempfile.mkdtemp(prefix="mvtec-s-"))
    settings = {"LEASE_SECONDS": "3", "BATCH_SIZE": "4"}
    # The suite asks more often than any line does; what is counted is tested in tests/services/test_accounts.py.
    unlimited = {f"THROTTLE_{kind}": "0" for kind in ("ANONYMOUS", "INSPECT", "READ", "MANAGE")}
    with (installation or peopled()).copied(var_dir, **(settings | unlimited | environment)) as made:
        try:
            yield made
        finally:
            if made.process and made.process.poll() is None:
                made.kill()
            shutil.rmtree(var_dir, ignore_errors=True)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A running system with a trained, not yet loaded detector for discs; shared by the tests of a module."""
    with new_stack(trained()) as made:
        made.start()
        yield made


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with stack.client() as made:
        yield made
