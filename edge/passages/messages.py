"""Passages as messages: a JSON object, or a list of them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from edge.passages.services import MAX_REPORTS, PassageRejected, Report

_FIELDS = {"counter", "serial_number", "passed_at"}


def read_passages(payload: bytes, *, may_repeat: bool = False) -> list[Report]:
    """Raises `PassageRejected`."""
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        raise PassageRejected("The message is no JSON. Nothing was written.") from None
    rows = found if isinstance(found, list) else [found]
    if not 1 <= len(rows) <= MAX_REPORTS:
        raise PassageRejected(f"A message is of 1 to {MAX_REPORTS:,} passages. Nothing was written.")
    return [_report(row, may_repeat) for row in rows]


def _report(row: Any, may_repeat: bool) -> Report:
    if not isinstance(row, dict):
        raise PassageRejected("A passage is a JSON object. Nothing was written.")
    if unknown := sorted(set(map(str, row)) - _FIELDS):
        raise PassageRejected(f"A passage has no {unknown[0][:100]}. Nothing was written.")
    counter, serial, at = row.get("counter"), row.get("serial_number") or "", row.get("passed_at")
    if counter is not None and (not isinstance(counter, int) or isinstance(counter, bool)):
        raise PassageRejected("counter must be a whole number. Nothing was written.")
    if not isinstance(serial, str):
        raise PassageRejected("serial_number must be text. Nothing was written.")
    return Report(counter, serial, None if at is None else _moment(at), may_repeat)


def _moment(text: Any) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        at = None
    if at is None or at.tzinfo is None or not 1970 < at.year < 9000:
        raise PassageRejected("passed_at must be a moment with its offset, as 2026-05-04T09:12:44.101+02:00.")
    return at
