"""Which register and which coil says what. The map is in docs/line-plc.md, for those who program the PLC."""

from __future__ import annotations

from collections.abc import Sequence

from edge.modbus.handshake import Control, Outputs

COILS = ("good", "defective", "not_comparable", "no_verdict")  # in this order from the first coil
CODES = {"": 0, "good": 1, "defective": 2, "not_comparable": 3, "no_verdict": 4}
COUNTERS = ("triggers_late", "triggers_doubled", "triggers_missing", "triggers_early")

# Ours, counted from the first register.
HEARTBEAT, STATUS, VERDICT, FLAGS, SEQUENCE, TRIGGER, SHOWN, FIRST_COUNTER = 0, 1, 2, 3, 4, 6, 7, 8
STATUS_REGISTERS = 12
READY, BUSY, RESULT_READY, REFUSED = 1, 2, 4, 8  # bits of the status
DUPLICATE, LATE, SUPPLEMENT, WITHOUT_RECORD = 1, 2, 4, 8  # bits of the flags

# The PLC's, counted from its first register.
CONTROL, NUMBER, RECIPE = 0, 1, 2
TEXT_REGISTERS = 20
PART_NUMBER, SERIAL_NUMBER = 4, 4 + TEXT_REGISTERS
CONTROL_REGISTERS = SERIAL_NUMBER + TEXT_REGISTERS
TRIGGER_BIT, ACKNOWLEDGE_BIT = 1, 2  # of the control word

ALL_OFF = [False] * len(COILS)


def status_registers(outputs: Outputs, *, heartbeat: int, counters: dict[str, int]) -> list[int]:
    """All of ours, as they are written at once: what belongs together is never seen in halves."""
    result = outputs.result
    status = READY * outputs.ready + BUSY * outputs.busy + RESULT_READY * outputs.result_ready
    flags = sequence = trigger = verdict = 0
    if result is not None:
        flags = DUPLICATE * result.is_duplicate + LATE * result.is_late + SUPPLEMENT * result.is_supplement
        flags += WITHOUT_RECORD * (result.sequence == 0)
        sequence, trigger, verdict = result.sequence & 0xFFFFFFFF, result.trigger, CODES[result.verdict]
    return [
        heartbeat,
        status + REFUSED * outputs.refused,
        verdict,
        flags,
        sequence >> 16,
        sequence & 0xFFFF,
        trigger,
        outputs.shown & 0xFFFF,
        *(counters.get(name, 0) & 0xFFFF for name in COUNTERS),
    ]


def coils(outputs: Outputs) -> list[bool]:
    return [outputs.coil == verdict for verdict in COILS]


def control_of(registers: Sequence[int]) -> Control:
    """What the PLC's registers say."""
    word = registers[CONTROL]
    return Control(
        trigger=bool(word & TRIGGER_BIT),
        acknowledge=bool(word & ACKNOWLEDGE_BIT),
        number=registers[NUMBER],
        recipe=registers[RECIPE],
        part_number=text_of(registers[PART_NUMBER : PART_NUMBER + TEXT_REGISTERS]),
        serial_number=text_of(registers[SERIAL_NUMBER : SERIAL_NUMBER + TEXT_REGISTERS]),
    )


def number_of(registers: Sequence[int]) -> int:
    """The high word first."""
    return int.from_bytes(b"".join(register.to_bytes(2, "big") for register in registers), "big")


def text_of(registers: Sequence[int]) -> str:
    """Two characters a register, the first one in the high byte, up to the first zero. What is no text is a `?`."""
    data = b"".join(register.to_bytes(2, "big") for register in registers).partition(b"\0")[0]
    text = data.decode("latin-1")
    return "".join(character if character.isprintable() else "?" for character in text).strip()


def registers_of(text: str, number: int = TEXT_REGISTERS) -> list[int]:
    """The opposite, for tests and for who plays the PLC."""
    data = text.encode("latin-1", "replace")[: 2 * number].ljust(2 * number, b"\0")
    return [int.from_bytes(data[index : index + 2], "big") for index in range(0, 2 * number, 2)]
