"""Sequences of serial numbers and ranges of them, beside plain lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UserError
from edge.gaps.serials import MAX_SERIALS, Ranges, SerialSequence


@given(
    prefix=st.text(st.sampled_from("AS-7"), max_size=4),
    width=st.integers(1, 7),
    suffix=st.text(st.sampled_from("XZ"), max_size=2),
    begin=st.integers(0, 2000),
    length=st.integers(0, 300),
)
def test_a_sequence_is_all_numbers_between_its_ends(prefix: str, width: int, suffix: str, begin: int, length: int):
    texts = [f"{prefix}{number:0{width}d}{suffix}" for number in range(begin, begin + length + 1)]
    if len(texts[0]) != len(texts[-1]):
        with pytest.raises(UserError, match="as many digits"):
            SerialSequence.parse(texts[0], texts[-1])
        return
    sequence = SerialSequence.parse(texts[0], texts[-1])
    assert (list(sequence), len(sequence)) == (texts, len(texts))
    assert all(text in sequence for text in texts)
    assert f"{prefix}{begin + length + 1:0{width}d}{suffix}" not in sequence
    assert f"Q{texts[0]}" not in sequence


@pytest.mark.parametrize(
    ("first", "last"),
    [
        *(
            ("", "S1"),
            ("S1", ""),
            ("S", "T"),
            ("S2", "S1"),
            ("S1", "T2"),
            ("S1", "S10"),
            ("S1X", "S2Y"),
            ("S1\0", "S2"),
        ),
        *(("S" * 101, "S1"), ("S1", "S1-2a"), ("S0000000", "S9999999")),
    ],
)
def test_what_is_no_sequence_is_refused(first: str, last: str):
    with pytest.raises(UserError, match="No statement was made"):
        SerialSequence.parse(first, last)


def test_a_million_is_the_most():
    assert len(SerialSequence.parse("S000000", f"S{MAX_SERIALS - 1:06}")) == MAX_SERIALS


@given(st.sets(st.integers(0, 120)), st.booleans(), st.integers(1, 50))
def test_ranges_hold_each_number_once(numbers: set[int], padded: bool, limit: int):
    texts = [f"S{number:03d}" if padded else f"S{number}" for number in sorted(numbers)]
    ranges = Ranges(limit)
    for text in texts:
        ranges.add(text)
    runs = [number for number in sorted(numbers) if number - 1 not in numbers]
    assert (ranges.count, len(ranges.rows) + ranges.dropped) == (len(numbers), len(runs))
    named: list[int] = []
    for first, last, count in ranges.rows:
        begin, end = int(first[1:]), int(last[1:])
        assert count == end - begin + 1
        named += range(begin, end + 1)
    assert named == sorted(numbers)[: len(named)]
    if not ranges.dropped:
        assert len(named) == len(numbers)


def test_what_has_no_number_is_named_by_itself():
    ranges = Ranges(10)
    for text in ("A", "B", "B1", "B2", "9", "10", "010"):
        ranges.add(text)
    assert ranges.rows == [("A", "A", 1), ("B", "B", 1), ("B1", "B2", 2), ("9", "10", 2), ("010", "010", 1)]
