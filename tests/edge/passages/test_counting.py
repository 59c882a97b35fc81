"""How a counter's values follow each other, beside a count of every part by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from edge.passages.counting import (
    SILENCE,
    Counted,
    CounterSize,
    Reset,
    Silence,
    Step,
    Unreported,
    doubts,
    place,
    silences,
    value_at,
)

BEGIN = datetime(2026, 5, 4, 9, tzinfo=UTC)


def second(number: float) -> datetime:
    return BEGIN + timedelta(seconds=number)


def test_a_jump_a_wrap_and_a_reset():
    size = CounterSize(0, 65_535)
    assert place(7, None, 0, size).step is Step.FIRST
    assert (place(13, 10, 10, size).step, place(13, 10, 10, size).position) == (Step.NEXT, 13)
    assert place(10, 10, 10, size).step is Step.SAME
    wrapped = place(2, 65_534, 65_534, size)
    assert (wrapped.step, wrapped.position) == (Step.NEXT, 65_538)
    assert place(2, 65_534, 65_534, None).step is Step.BACK
    assert place(0, 40_000, 40_000, size).step is Step.BACK  # far from its end: it began anew
    assert place(1, 9, 9, CounterSize(1, 9)).position == 10


@given(
    first=st.integers(0, 3),
    length=st.integers(32, 200),
    begin=st.integers(0, 31),
    steps=st.lists(st.integers(1, 2), max_size=200),
)
def test_positions_count_every_part_across_wraps(first: int, length: int, begin: int, steps: list[int]):
    size = CounterSize(first, first + length - 1)
    value, position, parts = first + begin, first + begin, 0
    reported = [Counted(1, position, value, second(0))]
    for step in steps:
        parts += step
        value = first + (begin + parts) % length  # what the PLC counts
        found = place(value, reported[-1].value, position, size)
        assert found.step is Step.NEXT
        position = found.position
        reported.append(Counted(1, position, value, second(parts)))
    assert position - reported[0].position == parts
    seen = {row.position for row in reported}
    missing = [number for number in range(reported[0].position, position + 1) if number not in seen]
    named = list(doubts(reported, size))
    assert sum(doubt.count for doubt in named if isinstance(doubt, Unreported)) == len(missing)
    for doubt, number in zip(named, missing, strict=True):
        assert isinstance(doubt, Unreported)
        assert doubt.first == first + (number - first) % length
    for row in reported:
        assert row.value == value_at(row.position, anchor_position=begin + first, anchor_value=begin + first, size=size)


def test_a_reset_is_named_and_so_is_what_is_left_out():
    rows = [Counted(1, 1, 1, second(0)), Counted(1, 4, 4, second(4)), Counted(2, 1, 1, second(9))]
    assert list(doubts(rows)) == [Unreported(2, 3, 2, second(0), second(4)), Reset(4, 1, second(4), second(9))]


@given(st.lists(st.tuples(st.integers(-300, 600), st.integers(0, 200)), max_size=8))
def test_silences_are_what_no_period_covers(spans: list[tuple[int, int]]):
    """Second by second: what lies in no silence is never far from a sign."""
    heard = sorted((second(begin), second(begin + length)) for begin, length in spans)
    found = list(silences(heard, second(0), second(400)))
    for silence in found:
        assert silence.since is not None
        assert silence.until is not None
        assert silence.until - silence.since > SILENCE
        assert not any(begin < silence.until and end > silence.since for begin, end in heard)
    for number in range(400):
        at = second(number)
        if any(begin <= at < end for begin, end in heard):
            assert not any(silence.since <= at < silence.until for silence in found if silence.since and silence.until)
    if not heard:
        assert found == [Silence(second(0), second(400))]
