"""Processes that hang instead of dying (SIGSTOP) are noticed, told of and replaced, and no image is lost."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import psutil
import pytest

from tests import parts
from tests.stack.conftest import Stack, new_stack, trained, wait_for
from tests.stack.test_chaos import with_words

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.postgresql_too]
# Whoever sends an image waits for as long as it takes to replace what hangs on a slow machine.
PATIENCE = 120


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with new_stack(trained(), ANSWER_TIMEOUT=str(PATIENCE)) as made:
        made.start()
        with made.client() as client:
            assert client.post("/api/load_model", json={}).status_code == 200
            assert send(client, 1).status_code == 200
        yield made


def send(client: httpx.Client, number: int) -> httpx.Response:
    files = {"image": (f"{number}.png", parts.png(30_000 + number))}
    return client.post(
        "/api/test_image", files=files, data={"lot": f"hung-{number}", "anomaly_map": "none"}, timeout=PATIENCE + 60
    )


def records(client: httpx.Client, number: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/api/inspections", params={"lot": f"hung-{number}"}).json()["results"]
    return found


def stop(*processes: psutil.Process) -> None:
    assert processes
    for process in processes:
        process.send_signal(signal.SIGSTOP)


def gone(*processes: psutil.Process) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


@contextlib.contextmanager
def sending(client: httpx.Client, number: int) -> Iterator[Future[httpx.Response]]:
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(send, client, number)


def ready(client: httpx.Client) -> dict[str, bool]:
    answer: dict[str, bool] = client.get("/readyz").json()
    return answer


@pytest.mark.parametrize("which", ["the process that judges", "the process that feeds it"])
def test_one_process_of_the_inference_worker_is_stopped(stack: Stack, client: httpx.Client, which: str) -> None:
    feeding, judging = with_words(stack, "-Q inference")
    victim, number = (judging, 2) if which == "the process that judges" else (feeding, 3)
    stop(victim)
    with sending(client, number) as answer:
        assert answer.result().status_code == 200, answer.result().text
    assert gone(victim)
    assert len(records(client, number)) == 1
    wait_for(lambda: all(ready(client).values()), 60, lambda: str(ready(client)))


def test_whole_workers_and_the_scheduler_are_stopped(stack: Stack, client: httpx.Client) -> None:
    victims = [p for words in ("-Q inference", "-Q training", "mvtec_site beat") for p in with_words(stack, words)]
    stop(*victims)
    with sending(client, 4) as answer:
        told = wait_for(lambda: (s := client.get("/api/status").json()) and not s["judging"]["alive"] and s, 60)
        assert told["judging"]["since"] is not None
        assert told["judging"]["waiting"] == 1
        assert answer.result().status_code == 200, answer.result().text
    assert len(records(client, 4)) == 1
    wait_for(lambda: gone(*victims), 60, stack.log.read_text)
    wait_for(lambda: all(ready(client).values()), 120, lambda: str(ready(client)))
    for name in ("inference", "training", "beat"):
        assert f"{name} gives no sign of life and is killed" in stack.log.read_text()


def test_the_broker_is_stopped(stack: Stack, client: httpx.Client) -> None:
    [victim] = with_words(stack, "valkey")
    stop(victim)
    with sending(client, 5) as answer:
        wait_for(lambda: gone(victim), 60, stack.log.read_text)
        assert answer.result().status_code == 200, answer.result().text
    assert len(records(client, 5)) == 1
    wait_for(lambda: all(ready(client).values()), 120, lambda: str(ready(client)))
