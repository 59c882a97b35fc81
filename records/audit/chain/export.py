"""The audit log as JSON Lines: one event a line, with everything that its hash is made of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from common.errors import UserError
from records.audit.chain.hashes import Event

MEDIA_TYPE = "application/jsonl"
_LATER = ("attests", "key_id", "authenticator")  # which events of before authentication began do not have


def lines_of(events: Iterable[Event]) -> Iterator[str]:
    """`before` and `after` stay the text that was hashed, so that no other program's idea of a number gets between."""
    for event in events:
        fields = {name: value for name, value in event._asdict().items() if value is not None or name not in _LATER}
        yield json.dumps(fields, ensure_ascii=False) + "\n"


def read_events(path: Path) -> Iterator[Event]:
    """Events of an exported file. Raises `UserError` that names the line which is none."""
    try:
        with path.open(encoding="utf-8") as lines:
            yield from (_event(line, number, path) for number, line in enumerate(lines, 1))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}). Nothing was checked.", code="not_an_export") from error


def _event(line: str, number: int, path: Path) -> Event:
    try:
        fields = json.loads(line)
        fields = dict.fromkeys(_LATER) | fields
        if set(fields) != set(Event._fields) or type(fields["sequence"]) is not int:
            raise ValueError("it lacks a field or has one too many")
        return Event(**fields)
    except (ValueError, TypeError) as error:
        raise UserError(
            f"Line {number} of {path} is not an exported audit event: {error}.", code="not_an_export"
        ) from error
