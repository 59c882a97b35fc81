"""What goes from a node to its centre, and what both hash: one place, so that neither reads it another way.

A record travels as the texts that the node's audit chain vouches for: its row (`row_text`, whose SHA-256 the event
names) and the event (`event_values`, whose SHA-256 the next event names). Nothing else of it has to be believed.
"""

from __future__ import annotations

import hashlib
from typing import Any

from records.audit.chain.hashes import HASHED_WITH_KEY
from records.audit.chain.row_values import canonical_value
from records.models import AuditEvent, canonical

SCHEMA = "node-record/1"
RECORDED = "inspection.recorded"
MAX_EVENTS = 200  # of a chain in one request


def row_text(row: Any) -> str:
    """A row as `records.audit.chain.audited_rows.row_hash` hashes it."""
    fields = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    return canonical({name: canonical_value(value) for name, value in fields.items() if value is not None})


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def event_values(event: AuditEvent) -> list[Any]:
    """An event in the order in which it is hashed, without its hash."""
    fields = {name: getattr(event, name) for name in HASHED_WITH_KEY}
    fields["at"] = event.at.isoformat(timespec="microseconds")
    return list(fields.values())


def receipt_text(*, node: str, sequence: int, head: str, at: str, centre_event: int) -> bytes:
    """What the centre signs of an anchor: lines of `name: value`, in UTF-8, each ended by a line feed."""
    lines = ("mvtec-node-anchor-1", f"node: {node}", f"sequence: {sequence}", f"head: {head}")
    return "".join(f"{line}\n" for line in (*lines, f"at: {at}", f"centre_event: {centre_event}")).encode()
