"""The real thing: `manage.py run` in a process of its own, on the database the run of the suite is for."""

from __future__ import annotations

import contextlib
import fcntl
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
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from tests import parts
from tests.environment import INSTALLATIONS, ROOT


@dataclass
class Stack:
    """A running system with a VAR_DIR, a database and a port of its own."""

    var_dir: Path
    port: int
    environment: dict[str, str]
    token: str = ""
    trained: Any = None  # what the training said, where there was one
    sessions: dict[str, list[str]] = field(default_factory=dict)  # of people, for browsers; each is used once
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

    def start(self, command: str = "run") -> None:
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", command, "--port", str(self.port)],
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


def create_database(template: str) -> str:
    """Beside the one of the in-process tests, a copy of another; its address, '' where that is SQLite in VAR_DIR."""
    address = os.environ.get("DATABASE_URL", "")
    if not address:
        return ""
    name = f"stack_{uuid.uuid4().hex[:8]}"
    _execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return address.replace("/postgres?", f"/{name}?")


def drop_database(address: str) -> None:
    if address:
        _execute(f"DROP DATABASE {_name(address)} WITH (FORCE)")


def _name(address: str) -> str:
    return urlsplit(address).path.strip("/")


def _execute(statement: str) -> None:
    import psycopg2

    connection = psycopg2.connect(os.environ["DATABASE_URL"])
    connection.autocommit = True
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(statement)


# ---------------------------------------------------------------- installations to begin with
DISC = ("--image-size", "64", "--backbone", "efficientnet_lite0")


@dataclass(frozen=True)
class Installation:
    """A VAR_DIR and a database to copy, in which nothing runs. Making one takes much longer than copying it."""

    var_dir: str = ""
    database: str = ""
    token: str = ""
    trained: Any = None

    def copy(self, var_dir: Path, **environment: str) -> Stack:
        if self.var_dir:
            shutil.copytree(self.var_dir, var_dir, dirs_exist_ok=True)
        own = {"VAR_DIR": str(var_dir), "DATABASE_URL": create_database(_name(self.database) or "template1")}
        return Stack(var_dir, free_port(), os.environ | own | environment, self.token, self.trained)

    @contextlib.contextmanager
    def copied(self, var_dir: Path, **environment: str) -> Iterator[Stack]:
        made = self.copy(var_dir, **environment)
        try:
            yield made
        finally:
            drop_database(made.environment["DATABASE_URL"])


def _made_once(name: str, before: Callable[[], Installation], fill: Callable[[Stack], dict[str, Any]]) -> Installation:
    """Whichever process of this run wants it first makes it, from a copy of the one before; it goes with the run."""
    description, var_dir = INSTALLATIONS / f"{name}.json", INSTALLATIONS / name
    with (INSTALLATIONS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not description.exists():
            shutil.rmtree(var_dir, ignore_errors=True)  # what an attempt that failed left
            start = before()
            made = start.copy(var_dir)
            own = {"var_dir": str(var_dir), "database": made.environment["DATABASE_URL"]}
            description.write_text(json.dumps(asdict(start) | own | fill(made)))
    return Installation(**json.loads(description.read_text()))


def migrated() -> Installation:
    """That nobody has used yet."""

    def fill(stack: Stack) -> dict[str, Any]:
        stack.manage("migrate", "--verbosity", "0")
        if "SUITE_DIVIDED" in os.environ:
            stack.manage("shell", "--verbosity", "0", "--command", _DIVIDE)
        return {}

    return _made_once("migrated", Installation, fill)


# As `manage.py partition_history` does it, without the event that would be the first of every chain. From the month
# before on: records of now lie in a month, those that tests date back in the table as it was.
_DIVIDE = """
from django.db import connection, transaction
from django.utils import timezone
from inspection.partitions.months import Month
from inspection.partitions.services import plan_partitions
plan = plan_partitions(first=Month.of(timezone.now()).later(-1))
with transaction.atomic(), connection.cursor() as cursor:
    for text in [*plan.ahead, *plan.at_once, *plan.afterwards]:
        cursor.execute(text)
"""


def peopled() -> Installation:
    """With an engineer, ina, and her token."""

    def fill(stack: Stack) -> dict[str, Any]:
        stack.manage("create_user", "ina", "--role", "engineer", "--password-stdin", typed="a-long-password")
        return {"token": stack.manage("create_token", "ina", "suite").stdout.strip()}

    return _made_once("peopled", migrated, fill)


def trained(*words: str) -> Installation:
    """With a trained, not yet loaded detector for discs besides."""

    def fill(stack: Stack) -> dict[str, Any]:
        folder = Path(f"{stack.var_dir}-data") / "disc"
        if not folder.exists():
            parts.write_dataset(folder)
        return {"trained": stack.json("train", "--model", "padim", "--dataset", str(folder), *DISC, *words)}

    return _made_once("-".join(("trained", *words)).replace("--", ""), peopled, fill)


@contextlib.contextmanager
def new_stack(installation: Installation | None = None, **environment: str) -> Iterator[Stack]:
    """A system of its own that begins as a copy of an installation, by default one that has people alone."""
    var_dir = Path(tempfile.mkdtemp(prefix="mvtec-s-"))
    settings = {"LEASE_SECONDS": "3", "BATCH_SIZE": "4"}
    # The suite asks more often than any line does; what is counted is tested in tests/accounts/test_services.py.
    unlimited = {f"THROTTLE_{kind}": "0" for kind in ("ANONYMOUS", "INSPECT", "READ", "MANAGE")}
    unlimited["TOKEN_FAILURES"] = "100000"
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
