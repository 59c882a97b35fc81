"""The PLC and the process that speaks to it are killed at random while parts are inspected, on both ways in.

Every verdict arrives, none before its record, none is lost, all in order, and duplicates say that they are.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge.modbus import registers
from tests import parts
from tests.edge.modbus.test_sender import Machine
from tests.stack.conftest import Stack, new_stack, trained, wait_for

pytestmark = pytest.mark.stack
_DUMP = """
import json
from edge.models import Delivery
print("DELIVERIES " + json.dumps([{
    "sequence": row.sequence, "status": row.status, "verdict": row.content["outcome"] or "no_verdict",
    "recorded_at": row.recorded_at.timestamp(), "filename": row.content["filename"],
    "serial_number": row.content["serial_number"], "part_number": row.content["part_number"],
    "category": row.content["category"],
} for row in Delivery.objects.order_by("sequence")]))
"""
_CONNECT = """
import json
from edge.connections.services import create_connection
create_connection(name="press", kind="modbus", station="east", actor=None, settings=json.loads({!r}))
"""


@contextmanager
def trouble(acts: Sequence[Callable[[], object]], progress: Callable[[], int]) -> Iterator[None]:
    """One of the acts after another, at random, until the block is over.

    On a slow machine what was killed may take long to come back: until something has gone on since, nothing is killed.
    """
    stop = threading.Event()
    chance = random.Random(20260713)

    def work() -> None:
        before = -1
        while not stop.wait(chance.uniform(0.1, 2.0)):
            if progress() > before:
                before = progress()
                chance.choice(acts)()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def deliveries(stack: Stack) -> list[dict[str, Any]]:
    out = stack.manage("shell", "-c", _DUMP).stdout
    [line] = [line for line in out.splitlines() if line.startswith("DELIVERIES ")]
    found: list[dict[str, Any]] = json.loads(line.removeprefix("DELIVERIES "))
    return found


def connect(stack: Stack, plc: Machine, **settings: Any) -> None:
    values = {
        "host": "127.0.0.1",
        "port": plc.port,
        "pulse_ms": 30,
        "gap_ms": 5,
        "heartbeat_ms": 100,
        "timeout_s": 0.5,
        "poll_ms": 5,
        **settings,
    }
    stack.manage("shell", "-c", _CONNECT.format(json.dumps(values)))


def restart(plc: Machine) -> None:
    plc.kill()
    time.sleep(random.Random(plc.process.pid).uniform(0, 1.5))
    plc.start()


def check(plc: Machine, rows: list[dict[str, Any]]) -> None:
    """What the PLC noted against what was recorded."""
    assert [row["sequence"] for row in rows] == list(range(1, len(rows) + 1))
    assert {row["status"] for row in rows} == {"sent"}
    by_sequence = {row["sequence"]: row for row in rows}
    seen: set[int] = set()
    numbers = []
    for entry in plc.said("shown"):
        if not (sequence := entry["shown"]):
            assert entry["verdict"] == registers.CODES["no_verdict"], "without a record there is no other verdict"
            continue
        row = by_sequence[sequence]
        assert entry["verdict"] == registers.CODES[row["verdict"]]
        assert entry["at"] >= row["recorded_at"], "before its record"
        assert sequence not in seen or entry["flags"] & registers.DUPLICATE, "an unmarked duplicate"
        seen.add(sequence)
        numbers.append(sequence)
    assert seen == set(by_sequence), f"lost: {set(by_sequence) - seen}"
    assert numbers == sorted(numbers), "out of order"
    for entry in plc.said("coil"):
        if entry["on"] and entry["sequence"]:
            assert entry["coil"] == by_sequence[entry["sequence"]]["verdict"]


@pytest.mark.parametrize("number", [30, pytest.param(500, marks=pytest.mark.long)])
def test_every_verdict_is_a_pulse_whatever_is_killed(tmp_path: Path, number: int) -> None:
    plc = Machine(tmp_path / "plc")
    try:
        with new_stack(trained(), EDGE_PRIVATE_HOSTS="127.0.0.1") as stack:
            stack.start()
            connect(stack, plc)
            with (
                stack.client() as client,
                trouble(
                    [lambda: restart(plc), lambda: restart(plc), lambda: stack.kill("run_connections")],
                    lambda: len(plc.said("shown")),
                ),
            ):
                assert client.post("/api/load_model", json={}).status_code == 200
                for part in range(number):
                    files = {"image": (f"{part}.png", parts.png(part % 60, defective=part % 3 == 0))}
                    answer = client.post(
                        "/api/test_image", files=files, data={"station": "east", "serial_number": str(part)}
                    )
                    assert answer.status_code == 200, answer.text
                    time.sleep(0.1)
            wait_for(lambda: number in {entry["shown"] for entry in plc.said("shown")}, 120, stack.log.read_text)
            time.sleep(1)
            rows = deliveries(stack)
            assert len(rows) == number
            check(plc, rows)
    finally:
        plc.kill()


@pytest.mark.parametrize("number", [30, pytest.param(500, marks=pytest.mark.long)])
def test_a_plc_that_triggers_parts_gets_each_verdict_whatever_is_killed(tmp_path: Path, number: int) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    plc = Machine(tmp_path / "plc", str(pictures), str(number))
    try:
        with new_stack(trained(), EDGE_PRIVATE_HOSTS="127.0.0.1", EDGE_TRIGGER_ROOTS=str(pictures)) as stack:
            stack.start()
            with stack.client() as client:
                assert client.post("/api/load_model", json={}).status_code == 200
            category = (
                stack.manage(
                    "shell", "-c", "from modelzoo.models import Category; print('is', Category.objects.get().name)"
                )
                .stdout.rpartition("is ")[2]
                .strip()
            )
            connect(
                stack,
                plc,
                handshake=True,
                recipes=f"1 = elsewhere\n3 = {category}",
                picture_folder=str(pictures),
                picture_settle_ms=0,
            )
            with trouble(
                [lambda: restart(plc), lambda: restart(plc), lambda: stack.kill("run_connections")],
                lambda: len(plc.said("shown")),
            ):
                wait_for(
                    lambda: number in {entry["triggered"] for entry in plc.said("triggered")},
                    60 + 10 * number,
                    stack.log.read_text,
                )
            time.sleep(12)
            rows = deliveries(stack)
            check(plc, rows)
            _check_triggers(plc, rows, number, category)
    finally:
        plc.kill()


def _check_triggers(plc: Machine, rows: list[dict[str, Any]], number: int, category: str) -> None:
    """Each trigger: judged once at most, with its own picture, and acknowledged, or the PLC knows that it was not."""
    judged = [int(row["filename"].split("-")[1]) for row in rows]
    assert judged == sorted(set(judged)), "a part that was judged twice"
    for row, trigger in zip(rows, judged, strict=True):
        assert row["filename"].endswith(f"part-{trigger}.png"), "the picture of another part"
        assert (row["serial_number"], row["part_number"], row["category"]) == (str(trigger), "A-7", category)
    acknowledged = {entry["trigger"] for entry in plc.said("acknowledged")}
    unanswered = {entry["unanswered"] for entry in plc.said("unanswered")}
    triggered = [entry["triggered"] for entry in plc.said("triggered")]
    assert triggered == list(range(1, number + 1))
    # A PLC that is killed forgets the part in hand, too.
    assert len(set(triggered) - acknowledged - unanswered) <= len(plc.starts)
    assert len(judged) > number // 2
