"""Reads: what became of the parts of a sequence, or of those that a counter counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from common.errors import UserError
from edge.gaps.comparison import AmongPassages, Comparison, InSequence, Passed, compare_serials, compare_times
from edge.gaps.serials import MAX_SERIALS, SerialSequence
from edge.passages.models import Passage
from edge.passages.selectors import Doubts, Window, doubts_of

_CHUNK = 2000


@dataclass(frozen=True)
class Checked:
    """What passed, as far as it is known, and what became of it."""

    comparison: Comparison
    doubts: Doubts | None = None  # None: no counter was asked
    by_time: bool = False


def check_sequence(station: str, sequence: SerialSequence) -> Checked:
    """The parts of a sequence that somebody says has passed."""
    return Checked(compare_serials(station, sequence, InSequence(sequence)))


def check_window(window: Window, *, delay: timedelta, tolerance: timedelta) -> Checked:
    """The parts that a counter counted. Raises `UserError` where there are none, or too many.

    All have serial numbers, or none of them is used: two ways of comparing at once would take a record twice.
    """
    total = window.passages.count()
    if not total:
        raise UserError(
            "No passage was reported in that time. No statement was made. Choose another time, or a sequence of serial "
            "numbers.",
            code="no_passages",
        )
    if total > MAX_SERIALS:
        raise UserError(
            f"A statement is of at most {MAX_SERIALS:,} parts; {total:,} passed in that time. No statement was made. "
            "Choose a shorter time.",
            code="invalid",
            field="until",
        )
    by_time = window.passages.filter(serial_number="").exists()
    station = window.counter.station
    if by_time:
        rows = window.passages.order_by("passed_at", "id").iterator(chunk_size=_CHUNK)
        passed = (Passed(_name(row), row.passed_at) for row in rows)
        comparison = compare_times(station, passed, (window.since, window.until), delay=delay, tolerance=tolerance)
    else:
        expected = AmongPassages(window.counter, window.since, window.until)
        comparison = compare_serials(station, _serials(window), expected)
    return Checked(comparison, doubts_of(window), by_time)


def _serials(window: Window) -> Iterator[str]:
    """Each serial number once, in their order: so consecutive ones are named as ranges."""
    rows = window.passages.order_by("serial_number").values_list("serial_number", flat=True).distinct()
    return rows.iterator(chunk_size=_CHUNK)


def _name(row: Passage) -> str:
    return row.serial_number if row.value is None else str(row.value)
