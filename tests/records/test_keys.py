"""Keys that sort by time: their layout, their order, and that no random key lies between them."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from records.keys import ALL_KEYS, first_key, moment_of, short_key, time_ordered_key

YEARS = st.datetimes(datetime(1970, 1, 1), datetime(2109, 1, 1), timezones=st.just(UTC))


def to_the_millisecond(at: datetime) -> datetime:
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


@given(YEARS)
def test_a_key_is_of_version_8_and_says_when_it_was_made(at: datetime) -> None:
    key = time_ordered_key(at)
    assert (key.version, key.variant) == (8, uuid.RFC_4122)
    assert key.bytes[:6] == b"inspec"
    assert moment_of(key) == to_the_millisecond(at)
    assert first_key(at) <= key < first_key(at + timedelta(milliseconds=1))
    assert ALL_KEYS[0] <= key < ALL_KEYS[1]


@given(st.lists(YEARS, min_size=2).map(sorted))
def test_keys_of_one_process_are_in_the_order_of_their_moments(moments: list[datetime]) -> None:
    keys = [time_ordered_key(at) for at in moments]
    assert keys == sorted(set(keys))
    assert [str(key) for key in keys] == sorted(str(key) for key in keys), "as text too: SQLite keeps them so"


def test_keys_of_one_moment_are_in_the_order_in_which_they_were_made() -> None:
    at = datetime(2026, 11, 29, tzinfo=UTC)
    keys = [time_ordered_key(at) for _ in range(20_000)]
    assert keys == sorted(set(keys))


def test_keys_of_several_threads_are_all_different() -> None:
    found: list[list[uuid.UUID]] = [[] for _ in range(4)]

    def make(into: list[uuid.UUID]) -> None:
        into += [time_ordered_key() for _ in range(2_000)]

    threads = [threading.Thread(target=make, args=[into]) for into in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({key for keys in found for key in keys}) == 8_000
    assert all(keys == sorted(keys) for keys in found)


@given(st.integers(0, (1 << 128) - 1), st.sampled_from([1, 3, 4, 5]))
def test_no_key_of_another_version_lies_between(number: int, version: int) -> None:
    """Whatever its random bits are, and if they begin as ours do."""
    for bits in (number, ALL_KEYS[0].int & ~((1 << 80) - 1) | number & ((1 << 80) - 1)):
        other = uuid.UUID(int=bits, version=version)
        assert not ALL_KEYS[0] <= other < ALL_KEYS[1]
        assert moment_of(other) is None


def test_a_clock_set_back_gives_earlier_keys_as_their_moments_are() -> None:
    later, earlier = datetime(2026, 11, 29, 12, tzinfo=UTC), datetime(2026, 11, 29, 11, tzinfo=UTC)
    assert time_ordered_key(later) > time_ordered_key(earlier)
    assert time_ordered_key(earlier) < time_ordered_key(earlier)


def test_moments_that_have_no_key() -> None:
    for at in (datetime(1969, 12, 31, tzinfo=UTC), datetime(2110, 1, 1, tzinfo=UTC)):
        with pytest.raises(ValueError, match="not between 1970 and 2109"):
            first_key(at)


def test_people_are_shown_what_differs() -> None:
    at = datetime(2026, 11, 29, tzinfo=UTC)
    assert short_key(time_ordered_key(at)) != short_key(time_ordered_key(at))
    assert short_key("696e7370-6563-8677-b0b9-d400a1b2c3d4") == "a1b2c3d4"
