"""How values of a counter follow each other, without a clock and a database: runs, jumps, wrap-around, resets.

A *run* lasts from one reset of the counter to the next. In it every part has a *position*, which goes on where the
counter's value wraps around. Whatever is in doubt is a reset: it is named, and closes no gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

MAX_VALUE = 2**62
SILENCE = timedelta(seconds=60)  # after so long without a sign it is not known what the line did
_WRAP_SHARE = 16  # a value that goes back is a wrap-around where it lies at most 1/16 of all values ahead


@dataclass(frozen=True)
class CounterSize:
    """After `last` comes `first`."""

    first: int
    last: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1


class Step(Enum):
    FIRST = "first"  # nothing came before it
    NEXT = "next"  # further on in the same run
    SAME = "same"  # the same value: a repeated message, or a sign of life
    BACK = "back"  # lower than the last one: late, repeated, or after a reset


@dataclass(frozen=True)
class Place:
    step: Step
    position: int  # in its run


def place(value: int, last_value: int | None, last_position: int, size: CounterSize | None) -> Place:
    """Where a value belongs, after the last one of its run."""
    if last_value is None:
        return Place(Step.FIRST, value)
    if value == last_value:
        return Place(Step.SAME, last_position)
    if value > last_value:
        return Place(Step.NEXT, last_position + value - last_value)
    if size is not None and size.first <= value and last_value <= size.last:
        ahead = value - last_value + size.length
        if ahead <= max(1, size.length // _WRAP_SHARE):
            return Place(Step.NEXT, last_position + ahead)
    return Place(Step.BACK, value)


def value_at(position: int, *, anchor_position: int, anchor_value: int, size: CounterSize | None) -> int:
    """The counter's value at a position of the run, from one whose value is known."""
    value = anchor_value + position - anchor_position
    return value if size is None else size.first + (value - size.first) % size.length


@dataclass(frozen=True)
class Counted:
    """A passage as it was written down."""

    run: int
    position: int
    value: int
    passed_at: datetime
    serial_number: str = ""


@dataclass(frozen=True)
class Unreported:
    """Parts that the counter counted and of which no message came: from one value to another, both included."""

    first: int
    last: int
    count: int
    after: datetime  # the passage before them
    before: datetime  # the passage after them


@dataclass(frozen=True)
class Reset:
    """The counter began anew. How many parts passed between the two passages, nobody knows."""

    last_value: int
    next_value: int
    after: datetime
    before: datetime


def doubts(passages: Iterable[Counted], size: CounterSize | None = None) -> Iterator[Unreported | Reset]:
    """What is not known between passages of one counter, which come in the order of run and position."""
    before: Counted | None = None
    for now in passages:
        if before is not None and now.run != before.run:
            yield Reset(before.value, now.value, before.passed_at, now.passed_at)
        elif before is not None and (count := now.position - before.position - 1) > 0:
            first, last = (
                value_at(position, anchor_position=before.position, anchor_value=before.value, size=size)
                for position in (before.position + 1, now.position - 1)
            )
            yield Unreported(first, last, count, before.passed_at, now.passed_at)
        before = now


@dataclass(frozen=True)
class Silence:
    """A time in which the counter was not heard; None: since ever, or until now."""

    since: datetime | None
    until: datetime | None


def silences(heard: Iterable[tuple[datetime, datetime]], since: datetime, until: datetime) -> Iterator[Silence]:
    """Parts of a window, longer than `SILENCE`, that lie in none of the periods, which come in order."""
    at: datetime = since
    for begin, end in heard:
        if end <= at:
            continue
        if begin >= until:
            break
        if begin - at > SILENCE:
            yield Silence(at, begin)
        at = max(at, end)
    if until - at > SILENCE:
        yield Silence(at, until)
