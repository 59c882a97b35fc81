"""Broker, receiver and the process that keeps the connections are killed at random while parts are inspected.

Every verdict arrives, none before its record, none is lost, each station's in order, and duplicates say that they are.
"""

from __future__ import annotations

import itertools
import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import parts
from tests.edge.line import SECRET
from tests.edge.other_side import Other
from tests.stack.conftest import Stack, new_stack, trained, wait_for

pytestmark = pytest.mark.stack
STATIONS = ("east", "west")


@contextmanager
def trouble(acts: list[Callable[[], object]], *, seconds: float) -> Iterator[None]:
    """One of the acts after another, at random, until the block is over."""
    stop = threading.Event()
    chance = random.Random(20260712)

    def work() -> None:
        while not stop.wait(chance.uniform(0.2, 2 * seconds)):
            chance.choice(acts)()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("number", [40, pytest.param(500, marks=pytest.mark.long)])
def test_every_verdict_arrives_whatever_is_killed(tmp_path: Path, number: int) -> None:
    broker = Other("tests.edge.durable_broker", tmp_path / "broker")
    receiver = Other("tests.edge.receiver", tmp_path / "receiver", SECRET)
    try:
        with new_stack(trained(), EDGE_PRIVATE_HOSTS="127.0.0.1") as stack:
            stack.start()
            records = _inspect(stack, broker, receiver, number)
            for other in (broker, receiver):
                _check(other.documents(), records)
    finally:
        broker.kill()
        receiver.kill()


def _inspect(stack: Stack, broker: Other, receiver: Other, number: int) -> dict[str, dict[str, Any]]:
    """So many parts, and trouble meanwhile; the records by their ids, once everything is delivered."""
    chance = random.Random(7)
    acts: list[Callable[[], object]] = [
        lambda: broker.restart(chance.uniform(0, 1.5)),
        lambda: receiver.restart(chance.uniform(0, 1.5)),
        lambda: stack.kill("run_connections"),
    ]
    records: dict[str, dict[str, Any]] = {}
    with stack.client() as client:
        assert client.post("/api/load_model", json={}).status_code == 200
        made = [
            {"name": "MES", "kind": "webhook", "settings": {"url": f"http://127.0.0.1:{receiver.port}/"}},
            {"name": "PLC", "kind": "mqtt", "settings": {"host": "127.0.0.1", "port": broker.port, "timeout_s": 1}},
        ]
        made[0]["secrets"] = {"signing_secret": SECRET}
        answers = [client.post("/api/connections", json=asked) for asked in made]
        assert [answer.status_code for answer in answers] == [201, 201], [answer.text for answer in answers]
        addresses = [answer.json()["url"] for answer in answers]
        with trouble(acts, seconds=0.8):
            for part, station in zip(range(number), itertools.cycle(STATIONS), strict=False):
                files = {"image": (f"{part}.png", parts.png(part % 60, defective=part % 3 == 0))}
                answer = client.post(
                    "/api/test_image", files=files, data={"station": station, "serial_number": str(part)}
                )
                assert answer.status_code == 200, answer.text
                records[answer.json()["inspection_id"]] = answer.json()

        def states() -> list[dict[str, Any]]:
            return [client.get(address).json() for address in addresses]

        def is_delivered() -> bool:
            return all(state["waiting"] == 0 and state["delivered"] == number for state in states())

        wait_for(is_delivered, 300, lambda: json.dumps(states(), indent=1) + stack.log.read_text())
        assert all(state["dead_letters"] == 0 for state in states())
    return records


def _check(taken: list[dict[str, Any]], records: dict[str, dict[str, Any]]) -> None:
    assert {document["inspection_id"] for document in taken} == set(records)
    seen: set[str] = set()
    for document in taken:
        record = records[document["inspection_id"]]
        assert (document["verdict"], document["serial_number"]) == (record["outcome"], record["serial_number"])
        assert document["recorded_at"] == record["created_at"]
        assert document["delivery_id"] not in seen or document["duplicate"], "an unmarked duplicate"
        seen.add(document["delivery_id"])
    assert len(seen) == len(records), "a delivery id for each record"
    for station in STATIONS:
        numbers = [document["sequence"] for document in taken if document["station"] == station]
        assert numbers == sorted(numbers), f"out of order: {numbers}"
        assert set(numbers) == set(range(1, max(numbers) + 1)), "gaps"
