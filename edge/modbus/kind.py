"""What a Modbus connection is: its settings, its sender, and its triggers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

from edge.connections.kinds import Figures, Kind, Setting, SettingInvalid, Target
from edge.modbus.registers import CONTROL_REGISTERS, STATUS_REGISTERS
from edge.passages.settings import LAST_OF_TWO_REGISTERS, check_size, size_settings
from edge.triggers.settings import PICTURE_SETTINGS, check_pictures

if TYPE_CHECKING:
    from edge.modbus.sender import ModbusSender
    from edge.modbus.source import ModbusSource


def _check(settings: Mapping[str, Any]) -> None:
    check_size(settings)
    if not settings["handshake"]:
        return
    check_pictures(settings)
    ours, theirs = settings["register_base"], settings["control_base"]
    if ours < theirs + CONTROL_REGISTERS and theirs < ours + STATUS_REGISTERS:
        raise SettingInvalid(
            f"The {STATUS_REGISTERS} registers from {ours} on and the PLC's {CONTROL_REGISTERS} from {theirs} on "
            "overlap. Nothing was changed.",
            field="control_base",
        )


# pymodbus is not installed everywhere: it is loaded by the process that keeps such a connection.
def _make_sender(target: Target, figures: Figures) -> ModbusSender:
    from edge.modbus.sender import ModbusSender

    return ModbusSender(target, figures)


def _make_source(target: Target, figures: Figures) -> ModbusSource | None:
    if not target.settings["handshake"]:
        return None
    from edge.modbus.source import ModbusSource

    return ModbusSource(target, figures)


# What is waited for while one result is shown stays well below HUNG_SECONDS, after which a thread is taken to hang.
MODBUS = Kind(
    name="modbus",
    title=_("Modbus TCP"),
    summary=_("Sets a coil of a PLC for each verdict, counts a heartbeat, and takes triggers with a handshake."),
    settings=(
        Setting("host", _("PLC"), is_required=True, max_length=253),
        Setting("port", _("Port"), int, 502, low=1, high=65535),
        Setting("unit", _("Unit"), int, 1, low=0, high=255),
        Setting(
            "coil_base",
            _("First coil"),
            int,
            0,
            low=0,
            high=65_532,
            help=_("good, defective, not comparable, no verdict; counted from 0"),
        ),
        Setting("register_base", _("First register of ours"), int, 0, low=0, high=65_524),
        Setting("pulse_ms", _("Length of a pulse in milliseconds"), int, 200, low=10, high=5000),
        Setting("gap_ms", _("Pause between pulses in milliseconds"), int, 50, low=0, high=2000),
        Setting("heartbeat_ms", _("Milliseconds between heartbeats"), int, 500, low=20, high=10_000),
        Setting("timeout_s", _("Seconds to wait for the PLC"), float, 1.0, low=0.05, high=5),
        Setting("poll_ms", _("Milliseconds between looks"), int, 20, low=2, high=1000),
        Setting(
            "handshake",
            _("Triggers with a handshake"),
            bool,
            False,
            help=_("the PLC triggers parts and acknowledges their results"),
        ),
        Setting("control_base", _("First register of the PLC"), int, 100, low=0, high=65_492),
        Setting(
            "acknowledge_ms",
            _("Milliseconds to wait for the acknowledgement"),
            int,
            2000,
            low=20,
            high=10_000,
            help=_("then the result is shown again, marked as a duplicate"),
        ),
        Setting(
            "unobserved_ms",
            _("Milliseconds after which a trigger is late"),
            int,
            500,
            low=50,
            high=60_000,
            help=_("where the PLC could not be looked at so long; its part is not judged"),
        ),
        *PICTURE_SETTINGS,
        Setting(
            "passage_register",
            _("Register that counts the parts that pass"),
            int,
            -1,
            low=-1,
            high=65_534,
            help=_("-1: none; above 65535 the counter has two registers, the high word first"),
        ),
        *size_settings(last=65_535, high=LAST_OF_TWO_REGISTERS),
    ),
    make_sender=_make_sender,
    make_source=_make_source,
    check=_check,
    modules=("pymodbus",),
)
