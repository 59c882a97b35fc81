"""A register that the PLC counts up with each part that passes: what is written of it, across lost connections too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from edge.connections import selectors
from edge.connections.kinds import SettingInvalid
from edge.connections.services import create_connection
from edge.modbus import registers
from edge.modbus.kind import MODBUS
from edge.models import Connection, Passage, PassageCounter
from edge.passages.selectors import Doubts, Window, doubts_of
from tests.stack.conftest import wait_for

pytest.importorskip("pymodbus", reason="pymodbus is not installed (requirements-edge.txt)")
from pymodbus.client import ModbusTcpClient

from edge.connections.kinds import Figures
from edge.modbus.sender import ModbusSender
from tests.edge.modbus.test_sender import Machine

pytestmark = pytest.mark.django_db(transaction=True)
REGISTER = 150


@pytest.fixture(autouse=True)
def _private(settings: Any) -> None:
    settings.EDGE_PRIVATE_HOSTS = ["127.0.0.1"]


@pytest.fixture
def plc(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "plc")
    yield machine
    machine.kill()


def connected(connection: Connection, figures: Figures) -> ModbusSender:
    sender = ModbusSender(selectors.target_of(selectors.find_connection(connection.pk)), figures)
    sender.open()
    return sender


def written() -> int:
    """The thread that writes shares the database of the test, which is in memory and locked meanwhile."""
    try:
        return Passage.objects.count()
    except OperationalError:
        return 0


def known(number: int) -> None:
    wait_for(lambda: written() >= number, 20, lambda: str(written()))


def count_to(plc: Machine, *values: int, already: int) -> None:
    """Each is seen before the next one comes."""
    with ModbusTcpClient("127.0.0.1", port=plc.port) as client:
        for value in values:
            assert not client.write_register(REGISTER, value, device_id=1).isError()
            known(already + 1)
            already += 1


def doubts(counter: PassageCounter) -> Doubts:
    now = timezone.now()
    return doubts_of(Window(counter, now - timedelta(hours=1), now + timedelta(seconds=1)))


def test_the_plc_counts_and_what_nobody_saw_is_named(plc: Machine):
    asked = {"host": "127.0.0.1", "port": plc.port, "passage_register": REGISTER}
    connection = create_connection(name="PLC", kind="modbus", settings=asked, station="east", actor=None)
    figures = Figures()
    sender = connected(connection, figures)
    known(1)  # where it stood
    count_to(plc, 1, 2, 5, already=1)
    sender.close()
    with ModbusTcpClient("127.0.0.1", port=plc.port) as client:
        client.write_register(REGISTER, 9, device_id=1)
    sender = connected(connection, figures)
    known(5)
    plc.kill()
    plc.start()  # it begins anew, at 0
    wait_for(lambda: not _holds(sender), 20)
    sender.close()
    sender = connected(connection, figures)
    known(6)
    count_to(plc, 1, already=6)
    sender.close()
    counter = PassageCounter.objects.get()
    assert (counter.station, counter.source) == ("east", "connection PLC")
    rows = Passage.objects.order_by("run", "position")
    assert [(row.value, row.is_mark) for row in rows] == [
        *((0, True), (1, False), (2, False), (5, False), (9, False), (0, True), (1, False)),
    ]
    found = doubts(counter)
    assert [(row.first, row.last) for row in found.unreported] == [(3, 4), (6, 8)]
    assert [(row.last_value, row.next_value) for row in found.resets] == [(9, 0)]
    assert figures.as_dict() == {"passages": 5, "passages_unreported": 5, "passage_resets": 1}


def _holds(sender: ModbusSender) -> bool:
    from jobs.outbox import NotSent

    try:
        sender.tick()
    except NotSent:
        return False
    return True


def test_two_registers_are_one_number():
    assert registers.number_of([7]) == 7
    assert registers.number_of([1, 2]) == 65_538


@pytest.mark.parametrize(
    "wrong",
    [
        {"passage_register": -2},
        {"passage_register": 65_535},
        {"passage_last": 2**32},
        {"passage_last": 5, "passage_first": 5},
    ],
)
def test_settings_that_cannot_be(wrong: dict[str, int]):
    with pytest.raises(SettingInvalid):
        MODBUS.clean({"host": "plc", **wrong})
