"""How the value of a column is spelled before it is hashed: in one way, whichever database it comes from."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any


def canonical_value(value: Any) -> Any:
    """One database has no negative zero, or writes 1e22 in digits."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return float(value) + 0.0
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, dict):
        return {str(key): canonical_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [canonical_value(inner) for inner in value]
    return value.isoformat() if isinstance(value, date) else str(value)
