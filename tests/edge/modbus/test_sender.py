"""A PLC on loopback: what it sees of verdicts, of a heartbeat, and of us when we leave or lose it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.connections.kinds import Figures, Message, SettingInvalid, Target
from edge.modbus import registers
from edge.modbus.kind import MODBUS
from jobs.outbox import NotDelivered, NotSent
from tests.edge.modbus.plc import entries
from tests.environment import ROOT
from tests.stack.conftest import free_port, wait_for

pytest.importorskip("pymodbus", reason="pymodbus is not installed (requirements-edge.txt)")
from edge.modbus.exchange import exchange_of
from edge.modbus.sender import ModbusSender

_ids = iter(range(1, 1000))


class Machine:
    """The PLC in a process of its own."""

    def __init__(self, file: Path, *words: str) -> None:
        self.file, self.port = file, free_port()
        self.starts: list[float] = []
        self._command = [sys.executable, "-m", "tests.edge.modbus.plc", str(self.port), str(file), *words]
        self.start()

    def start(self) -> None:
        self.starts.append(time.time())
        self.process = subprocess.Popen(self._command, cwd=ROOT)
        wait_for(self.is_up, 30)

    def is_up(self) -> bool:
        import socket

        try:
            socket.create_connection(("127.0.0.1", self.port), 0.5).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def said(self, key: str) -> list[dict[str, Any]]:
        return entries(self.file, key)


@pytest.fixture
def plc(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "plc")
    yield machine
    machine.kill()


@pytest.fixture(autouse=True)
def _private(settings: Any) -> None:
    settings.EDGE_PRIVATE_HOSTS = ["127.0.0.1"]


def target_for(plc: Machine, **values: Any) -> Target:
    cleaned = MODBUS.clean(
        {"host": "127.0.0.1", "port": plc.port, "pulse_ms": 60, "gap_ms": 10, "heartbeat_ms": 50, **values}
    )
    return Target(next(_ids), "plc", "modbus", "east", "", cleaned, {}, None, 1)


def message(sequence: int, verdict: str = "good", **fields: Any) -> Message:
    document = {"filename": "1.png", "request_id": f"request {sequence}"}
    made = Message(f"delivery {sequence}", "east", "disc", verdict, sequence, 1, False, False, document)
    return replace(made, **fields)


def test_a_coil_for_each_verdict_and_a_heartbeat(plc: Machine):
    sender = ModbusSender(target_for(plc), Figures())
    sender.open()
    for number, verdict in enumerate(registers.COILS):
        sender.send(message(70_000 + number, verdict))
    time.sleep(0.3)
    sender.tick()
    sender.close()
    on = [(entry["coil"], entry["sequence"]) for entry in plc.said("coil") if entry["on"]]
    assert on == [(verdict, 70_000 + number) for number, verdict in enumerate(registers.COILS)]
    assert [entry["verdict"] for entry in plc.said("shown")] == [1, 2, 3, 4]
    assert [entry["on"] for entry in plc.said("coil")] == [True, False] * 4, "one at a time, each goes off again"
    beats = [entry["beat"] for entry in plc.said("beat")]
    assert beats[:-1] == list(range(1, len(beats)))
    assert len(beats) > 5
    assert beats[-1] == 0, "who leaves says so"


def test_when_the_plc_is_gone_the_verdict_is_sent_again_and_marked(plc: Machine):
    target = target_for(plc, timeout_s=0.3)
    sender = ModbusSender(target, Figures())
    sender.open()
    sender.send(message(1))
    plc.kill()
    with pytest.raises(NotDelivered):
        sender.send(message(2))
    with pytest.raises(NotSent):
        sender.tick()
    sender.close()
    with pytest.raises(NotSent):
        ModbusSender(target, Figures()).open()
    plc.start()
    sender = ModbusSender(target, Figures())
    sender.open()
    sender.send(message(2, is_duplicate=True))
    sender.close()
    [first, again] = plc.said("shown")
    assert (first["shown"], again["shown"]) == (1, 2)
    assert again["flags"] == registers.DUPLICATE


def test_outputs_are_off_after_a_loss_whatever_they_were(plc: Machine):
    """A pulse that was cut off stands in the PLC until we are back; then it goes off first of all."""
    target = target_for(plc, pulse_ms=5000)
    sender = ModbusSender(target, Figures())
    sender.open()
    sender.send(message(1))
    sender._link._client.socket.shutdown(2)
    wait_for(lambda: sender._link._error, 5)
    sender.close()
    assert [entry["on"] for entry in plc.said("coil")] == [True]
    again = ModbusSender(target, Figures())
    again.open()
    assert [entry["on"] for entry in plc.said("coil")] == [True, False]
    again.close()


def test_what_comes_after_no_verdict_moves_nothing(plc: Machine):
    sender = ModbusSender(target_for(plc), Figures())
    sender.open()
    sender.send(message(1, "no_verdict", is_late=True))
    late = {"filename": "1.png", "request_id": "request 1"}
    sender.send(message(2, "no_verdict", is_late=True, document=late))
    sender.close()
    assert [entry["coil"] for entry in plc.said("coil") if entry["on"]] == ["no_verdict"]
    assert [entry["flags"] for entry in plc.said("shown")] == [registers.LATE, registers.LATE + registers.SUPPLEMENT]


def test_a_plc_that_refuses_is_told_about(plc: Machine):
    sender = ModbusSender(target_for(plc, coil_base=500), Figures())
    with pytest.raises(NotSent, match="refused to write coils"):
        sender.open()


def test_with_a_handshake_it_is_sent_when_it_was_acknowledged(tmp_path: Path, settings: Any):
    settings.EDGE_TRIGGER_ROOTS = (tmp_path,)
    plc = Machine(tmp_path / "plc", str(tmp_path), "0")
    try:
        target = target_for(plc, handshake=True, picture_folder=str(tmp_path), poll_ms=5)
        sender = ModbusSender(target, Figures())
        sender.open()
        sender.send(message(5, "defective"))
        assert [entry["acknowledged"] for entry in plc.said("acknowledged")] == [5]
        sender.close()
    finally:
        plc.kill()


def test_the_heartbeat_stops_when_nobody_sends(plc: Machine, monkeypatch: pytest.MonkeyPatch):
    from edge.modbus import link

    monkeypatch.setattr(link, "_SILENT_SECONDS", 0.3)
    sender = ModbusSender(target_for(plc), Figures())
    sender.open()
    time.sleep(0.8)
    before = len(plc.said("beat"))
    time.sleep(0.3)
    assert len(plc.said("beat")) == before
    sender.tick()
    wait_for(lambda: len(plc.said("beat")) > before, 5)
    sender.close()


def test_settings_that_cannot_be_together(tmp_path: Path, settings: Any):
    settings.EDGE_TRIGGER_ROOTS = (tmp_path,)
    good = {"host": "plc", "handshake": True, "picture_folder": str(tmp_path / "in")}
    assert MODBUS.clean(good)["handshake"]
    for wrong, field in (
        ({"picture_folder": ""}, "picture_folder"),
        ({"picture_folder": "/etc"}, "picture_folder"),
        ({"control_base": 5}, "control_base"),
        ({"recipes": "three = bottle"}, "recipes"),
        ({"recipes": "3 = bottle\n3 = cap"}, "recipes"),
    ):
        with pytest.raises(SettingInvalid) as caught:
            MODBUS.clean(good | wrong)
        assert caught.value.extra["field"] == field


def test_text_in_registers():
    words = registers.registers_of("Teil ÄÖ 7")
    assert len(words) == registers.TEXT_REGISTERS
    assert registers.text_of(words) == "Teil ÄÖ 7"
    assert registers.text_of([0x4142, 0x0043]) == "AB"
    assert registers.text_of([0x0A42]) == "?B"


def test_a_result_of_an_earlier_process_is_a_supplement():
    exchange = exchange_of(next(_ids))
    old = {"filename": "trigger-42-0123abcd-1-part.png", "request_id": "r"}
    assert exchange.result_of(message(1, document=old)).ticket == -1
    ours = {"filename": f"trigger-42-{exchange.run}-1-part.png", "request_id": "r"}
    found = exchange.result_of(message(1, document=ours))
    assert (found.ticket, found.trigger) == (1, 42)
