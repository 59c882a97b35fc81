"""Passages and records paired by time, beside every pairing that there can be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from edge.gaps.matching import matched

BEGIN = datetime(2026, 5, 4, 9, tzinfo=UTC)


@dataclass(frozen=True)
class Event:
    at: datetime


def events(seconds: list[int]) -> list[Event]:
    return [Event(BEGIN + timedelta(seconds=second)) for second in sorted(seconds)]


def most(passages: list[Event], records: list[Event], delay: timedelta, tolerance: timedelta) -> int:
    """The most pairs of any pairing: augmenting paths."""
    partner: dict[int, int] = {}

    def place(number: int, seen: set[int]) -> bool:
        for other, record in enumerate(records):
            if other not in seen and abs(passages[number].at - delay - record.at) <= tolerance:
                seen.add(other)
                if other not in partner or place(partner[other], seen):
                    partner[other] = number
                    return True
        return False

    return sum(place(number, set()) for number in range(len(passages)))


@given(
    st.lists(st.integers(0, 40), max_size=12),
    st.lists(st.integers(0, 40), max_size=12),
    st.integers(0, 5),
    st.integers(0, 6),
)
def test_as_many_are_paired_as_can_be(passed: list[int], judged: list[int], delay_s: int, tolerance_s: int):
    passages, records = events(passed), events(judged)
    delay, tolerance = timedelta(seconds=delay_s), timedelta(seconds=tolerance_s)
    pairs = list(matched(passages, records, delay=delay, tolerance=tolerance))
    assert [passage for passage, _ in pairs if passage is not None] == passages
    assert [record for _, record in pairs if record is not None] == records
    both = [(passage, record) for passage, record in pairs if passage is not None and record is not None]
    assert all(abs(passage.at - delay - record.at) <= tolerance for passage, record in both)
    assert len(both) == most(passages, records, delay, tolerance)


def test_at_a_pace_above_the_tolerance_the_very_part_is_named():
    passages, records = events([0, 10, 20, 30]), events([0, 20, 30])
    pairs = matched(passages, records, delay=timedelta(), tolerance=timedelta(seconds=4))
    assert [passage for passage, record in pairs if record is None] == [passages[1]]
