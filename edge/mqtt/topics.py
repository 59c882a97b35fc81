"""The topics of one connection: a prefix, the station, what it is. What a topic must not hold is percent-encoded."""

from __future__ import annotations

from urllib.parse import quote, unquote

NO_STATION = "-"
PASSED = "passed"  # the last level of the topic of passages


def level(text: str) -> str:
    """One level of a topic for any text: no slash, no wildcard, nothing that is not printable ASCII."""
    return quote(text, safe=" .,:;@=~()!*'") if text else NO_STATION


def station_of(name: str) -> str:
    """The station that a level stands for."""
    return "" if name == NO_STATION else unquote(name)


def verdict_topic(prefix: str, station: str) -> str:
    return f"{prefix}/{level(station)}/verdict"


def reply_topic(prefix: str, station: str) -> str:
    return f"{prefix}/{level(station)}/reply"


def state_topic(prefix: str, connection: str) -> str:
    """Birth and will of a connection."""
    return f"{prefix}/connections/{level(connection)}"
