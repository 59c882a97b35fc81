"""The settings by which a kind of connection says where the counter of passages wraps around."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from edge.connections.kinds import Setting, SettingInvalid
from edge.passages.counting import CounterSize

FIRST, LAST = "passage_first", "passage_last"
LAST_OF_TWO_REGISTERS = 2**32 - 1


def size_settings(*, last: int, high: int = 2**53) -> tuple[Setting, ...]:
    return (
        Setting(
            LAST,
            _("Last value of the counter of passages"),
            int,
            last,
            low=0,
            high=high,
            help=_("before it begins again; 0: it never does"),
        ),
        Setting(FIRST, _("First value after it"), int, 0, low=0, high=high),
    )


def check_size(settings: Mapping[str, Any]) -> None:
    """Raises `SettingInvalid`."""
    if settings[LAST] and settings[FIRST] >= settings[LAST]:
        raise SettingInvalid(
            "The counter of passages must begin again below its last value. Nothing was changed.", field=FIRST
        )


def size_in(settings: Mapping[str, Any]) -> CounterSize | None:
    return CounterSize(settings[FIRST], settings[LAST]) if settings[LAST] else None
