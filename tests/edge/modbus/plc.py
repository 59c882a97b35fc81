"""A PLC: a Modbus server in a process of its own, its program keeps to docs/line-plc.md, its memory is a file.

`python -m tests.edge.modbus.plc PORT FILE [PICTURES PARTS]`: with a folder and a number it triggers so many parts, one
after another, and its camera puts a picture into the folder as soon as we say that we are busy.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edge.modbus.registers import (
    ACKNOWLEDGE_BIT,
    BUSY,
    COILS,
    CONTROL,
    CONTROL_REGISTERS,
    FLAGS,
    HEARTBEAT,
    NUMBER,
    PART_NUMBER,
    READY,
    RECIPE,
    REFUSED,
    RESULT_READY,
    SEQUENCE,
    SERIAL_NUMBER,
    SHOWN,
    STATUS,
    STATUS_REGISTERS,
    TEXT_REGISTERS,
    TRIGGER,
    TRIGGER_BIT,
    VERDICT,
    registers_of,
)
from tests import parts

CONTROL_BASE = 100
PATIENCE = 8.0  # seconds after which the program gives a part up


class Plc:
    def __init__(self, file: Path, pictures: Path | None = None, number: int = 0) -> None:
        self.file, self.pictures, self.parts = file, pictures, number
        self.log = file.open("a")
        self.ours = [0] * STATUS_REGISTERS  # as the inspection wrote them
        self.coils = [False] * len(COILS)
        self.shown: int | None = None
        self.number = max((entry["triggered"] for entry in entries(file, "triggered")), default=0)
        self.state, self.since = "idle", 0.0
        self.control = [0] * CONTROL_REGISTERS
        self.acknowledge = False

    def say(self, **entry: Any) -> None:
        self.log.write(json.dumps({"at": time.time(), **entry}) + "\n")
        self.log.flush()

    async def act(self, code: int, start: int, address: int, count: int, registers: list[int], values: Any) -> None:
        """Called by the server with each request, before it is answered."""
        if code == 15 and values is not None:
            self.set_coils([bool(value) for value in values])
        elif code == 16 and values is not None:
            self.set_status(list(values))
        elif code == 3 and self.pictures is not None:
            self.scan()
            registers[CONTROL_BASE - start : CONTROL_BASE - start + CONTROL_REGISTERS] = self.control

    def set_coils(self, values: list[bool]) -> None:
        for name, was, now in zip(COILS, self.coils, values, strict=True):
            if was != now:
                self.say(coil=name, on=now, sequence=self.sequence)
        self.coils = values

    @property
    def sequence(self) -> int:
        return (self.ours[SEQUENCE] << 16) + self.ours[SEQUENCE + 1]

    def set_status(self, values: list[int]) -> None:
        is_beat = values[HEARTBEAT] != self.ours[HEARTBEAT]
        self.ours = values
        if is_beat:
            self.say(beat=values[HEARTBEAT])
        if values[VERDICT] and values[SHOWN] != self.shown:
            self.say(shown=self.sequence, verdict=values[VERDICT], flags=values[FLAGS], trigger=values[TRIGGER])
        self.shown = values[SHOWN]

    # ------------------------------------------------------------ the program
    def scan(self) -> None:
        status = self.ours[STATUS]
        if self.acknowledge and not status & RESULT_READY:
            self.acknowledge = False
        elif status & RESULT_READY and not self.acknowledge:
            self.acknowledge = True
            self.say(acknowledged=self.sequence, trigger=self.ours[TRIGGER], verdict=self.ours[VERDICT])
            if self.ours[TRIGGER] == self.number:
                self.state = "idle"
        if self.state in ("triggered", "busy"):
            self.wait_for_result(status)
        elif not self.acknowledge and status & READY and self.number < self.parts:
            self.begin()
        has_trigger = self.state in ("triggered", "busy")
        self.control[CONTROL] = TRIGGER_BIT * has_trigger + ACKNOWLEDGE_BIT * self.acknowledge

    def begin(self) -> None:
        self.number += 1
        self.state, self.since = "triggered", time.monotonic()
        self.control[NUMBER], self.control[RECIPE] = self.number, 3
        self.control[PART_NUMBER : PART_NUMBER + TEXT_REGISTERS] = registers_of("A-7")
        self.control[SERIAL_NUMBER : SERIAL_NUMBER + TEXT_REGISTERS] = registers_of(str(self.number))
        self.say(triggered=self.number)

    def wait_for_result(self, status: int) -> None:
        if status & BUSY and self.state == "triggered":
            self.state = "busy"
            self.take_picture()
        elif status & REFUSED or time.monotonic() - self.since > PATIENCE:
            self.say(unanswered=self.number, refused=bool(status & REFUSED))
            self.state = "idle"

    def take_picture(self) -> None:
        assert self.pictures is not None
        hidden = self.pictures / f".{self.number}.png"
        hidden.write_bytes(parts.png(self.number % 60, defective=self.number % 3 == 0))
        hidden.rename(self.pictures / f"part-{self.number}.png")


def entries(file: Path, key: str) -> list[dict[str, Any]]:
    """What the PLC noted of a kind; a line that a kill cut off was not acknowledged."""
    found = []
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if key in entry:
            found.append(entry)
    return found


async def serve(port: int, plc: Plc) -> None:
    coils, registers = (
        [SimData(0, values=[False] * 16, datatype=DataType.BITS)],
        [SimData(0, count=200, values=0, datatype=DataType.REGISTERS)],
    )
    device = SimDevice(id=1, simdata=(coils, coils, registers, registers), action=plc.act)
    server = ModbusTcpServer(device, address=("127.0.0.1", port))
    await server.serve_forever()


if __name__ == "__main__":
    words = sys.argv[1:]
    made = Plc(Path(words[1]), *([Path(words[2]), int(words[3])] if len(words) > 2 else []))  # type: ignore[arg-type]
    asyncio.run(serve(int(words[0]), made))
