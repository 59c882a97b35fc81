"""A throwaway installation to measure on: a database, a trained detector in force, the whole system running."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings

from common.errors import Unavailable, UserError
from edge.benchmarks.frames import write_dataset

CATEGORY = "benchmark-edge"
_START_SECONDS = 300.0  # a busy machine loads a model slowly
_OF_MODEL = ("category", "algorithm", "backbone", "backbone_sha256")
_PLAIN = {"DATABASE_URL": "", "REDIS_URL": "", "EDGE_PRIVATE_HOSTS": "127.0.0.1"}
_UNLIMITED = {f"THROTTLE_{kind}": "0" for kind in ("ANONYMOUS", "INSPECT", "READ", "MANAGE")}


@dataclass(frozen=True)
class System:
    """What runs, and how it is spoken to."""

    address: str
    token: str
    category: str
    images: list[bytes]  # of the camera, again and again
    model: dict[str, Any]  # what judges

    def client(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.address, headers={"Authorization": f"Bearer {self.token}"}, timeout=_START_SECONDS
        )


@contextmanager
def own_system(
    *,
    detector: str,
    image_size: int,
    backbone: str,
    dataset: Path | None,
    cores: int,
    tell: Callable[[str], None],
) -> Iterator[System]:
    """It is gone afterwards. All of its processes, and this one, share the first `cores` cores meanwhile."""
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="mvtec-edge-")))
        ending.enter_context(on_cores(cores))
        environment = os.environ | _PLAIN | _UNLIMITED | {"VAR_DIR": str(folder / "var")}
        tell("Making an installation and training a detector ...")
        source = dataset if dataset is not None else write_dataset(folder / CATEGORY)
        images = _images_of(source)
        _manage(environment, "migrate", "--verbosity", "0")
        password = secrets.token_urlsafe(16)
        _manage(environment, "create_user", "benchmark", "--role", "admin", "--password-stdin", typed=password)
        token = _manage(environment, "create_token", "benchmark", "benchmark").strip()
        words = ("--model", detector, "--dataset", str(source), "--backbone", backbone, "--image-size", str(image_size))
        trained = json.loads(_manage(environment, "train", *words, "--json"))
        port = free_port()
        log = folder / "run.log"
        with log.open("wb") as out:
            command = [sys.executable, "manage.py", "run", "--port", str(port)]
            process = subprocess.Popen(command, cwd=settings.BASE_DIR, env=environment, stdout=out, stderr=out)
        ending.callback(process.wait)
        ending.callback(process.terminate)
        system = System(f"http://127.0.0.1:{port}", token, source.name, images, {})
        with system.client() as client:
            await_ready(client, lambda: process.poll() is None, log)
            model = load(client, str(trained["model_version"]))
        yield System(system.address, token, model["category"], images, model)


def load(client: httpx.Client, version: str) -> dict[str, Any]:
    """Put a version into production; what judges from then on."""
    try:
        loaded = client.post("/api/load_model", json={"model_version": version})
        found = client.get(f"/api/model-versions/{version}")
    except httpx.HTTPError as error:
        raise Unavailable(f"The system did not answer while the model was loaded ({error}).") from error
    if loaded.is_error or found.is_error:
        raise Unavailable(f"The model was not loaded: {loaded.text[:500]}")
    said: dict[str, Any] = found.json()
    return {name: said[name] for name in _OF_MODEL}


def _images_of(dataset: Path) -> list[bytes]:
    found = sorted(path for path in dataset.glob("test/*/*") if path.suffix.lower() in (".png", ".jpg", ".jpeg"))
    if not found:
        raise UserError(f"There is no PNG or JPEG file in {dataset}/test. Nothing was measured.")
    return [path.read_bytes() for path in found[:16]]


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """Processes that are started meanwhile inherit it. Where the system knows no such thing, nothing is done."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(before)[:count]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _manage(environment: dict[str, str], *words: str, typed: str | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=settings.BASE_DIR,
        env=environment,
        input=typed,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise Unavailable(f"manage.py {words[0]} failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def await_ready(client: httpx.Client, is_running: Callable[[], bool], log: Path) -> None:
    """Raises `Unavailable`."""
    deadline = time.monotonic() + _START_SECONDS
    while is_running() and time.monotonic() < deadline:
        try:
            if client.get("/readyz").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise Unavailable(f"The system did not come up: {log.read_text()[-500:]}")
