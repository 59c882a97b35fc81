"""Which record belongs to which passage where a passage has no serial number: by time, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Protocol, TypeVar


class Timed(Protocol):
    @property
    def at(self) -> datetime: ...


Passed = TypeVar("Passed", bound=Timed)
Judged = TypeVar("Judged", bound=Timed)


def matched(
    passages: Iterable[Passed], records: Iterable[Judged], *, delay: timedelta, tolerance: timedelta
) -> Iterator[tuple[Passed | None, Judged | None]]:
    """Pairs, and what has no partner. Both come in the order of time.

    A record may belong to a passage `delay` after it, give or take `tolerance`. As many as can be are paired: so the
    number of passages without a record is the least that there can be.
    """
    coming = iter(records)
    record = next(coming, None)
    for passage in passages:
        expected = passage.at - delay
        while record is not None and record.at < expected - tolerance:
            yield None, record
            record = next(coming, None)
        if record is not None and record.at <= expected + tolerance:
            yield passage, record
            record = next(coming, None)
        else:
            yield passage, None
    while record is not None:
        yield None, record
        record = next(coming, None)
