"""Numbers in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from common.numbers import seconds_between
from common.templatetags.formats import duration

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(("begin", "seconds"), [(NOON - timedelta(seconds=90), 90.0), (NOON, 0.0), (None, None)])
def test_a_span_of_time_is_in_seconds(begin: datetime | None, seconds: float | None) -> None:
    assert seconds_between(begin, NOON) == seconds


def test_a_span_across_a_clock_that_was_set_back_is_not_known_and_never_negative() -> None:
    assert seconds_between(NOON + timedelta(seconds=1), NOON) is None
    assert duration(NOON + timedelta(seconds=1), NOON) == "an unknown time (the clock was set back)"
    assert duration(NOON, NOON + timedelta(seconds=3)) == "3 seconds"
