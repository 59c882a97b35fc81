"""Months as ranges of keys: they follow each other without a gap, and each key lies in the month of its moment."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UserError
from inspection.partitions.months import Month
from records.keys import time_ordered_key

MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2108, 12, 1), timezones=st.just(UTC))


@given(MOMENTS)
def test_a_key_lies_in_the_month_of_its_moment_and_in_no_other(at: datetime) -> None:
    month, key = Month.of(at), time_ordered_key(at)
    assert month.begins <= at < month.ends
    assert month.keys[0] <= key < month.keys[1]
    assert not month.later(1).keys[0] <= key


@given(st.integers(1970, 2107), st.integers(1, 12), st.integers(0, 30))
def test_months_follow_each_other_without_a_gap(year: int, number: int, count: int) -> None:
    month = Month(year, number)
    assert list(month.until(month.later(count)))[-1] == month.later(count)
    assert month.keys[1] == month.later(1).keys[0]
    assert month.ends == month.later(1).begins
    assert Month.read(str(month)) == month
    assert month < month.later(1)


@pytest.mark.parametrize("text", ["2027", "2027-13", "2027-00", "27-01", "2027-1", "1969-12", "2109-01", "soon"])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is not a month"):
        Month.read(text)
