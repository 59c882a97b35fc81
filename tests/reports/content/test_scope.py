"""Which window a report is of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from common.errors import NotFound, UserError
from modelzoo.models import ModelVersion
from modelzoo.services import ensure_category
from reports.content.scope import REGULAR, Kind, parse_scope, window_at
from tests.quality.audited import plan
from tests.scores import BEGAN, Part, stored

_MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
@pytest.mark.parametrize("kind", REGULAR)
@given(moment=_MOMENTS)
def test_windows_follow_each_other_without_a_gap(kind: str, zone: str, moment: datetime) -> None:
    with override_settings(TIME_ZONE=zone):
        since, until = window_at(kind, moment)
        assert since <= moment < until
        assert window_at(kind, since) == (since, until)
        assert window_at(kind, until)[0] == until
        assert window_at(kind, since - timedelta(microseconds=1))[1] == since


def test_windows_are_those_of_the_calendar(settings: Any) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    moment = datetime(2026, 3, 29, 12, tzinfo=UTC)  # a Sunday, with 23 hours there
    assert window_at("day", moment) == (datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 3, 29, 22, tzinfo=UTC))
    assert window_at("week", moment)[0] == datetime(2026, 3, 22, 23, tzinfo=UTC)
    assert window_at("month", moment)[1] == datetime(2026, 3, 31, 22, tzinfo=UTC)
    settings.SHIFT_STARTS = ["06:00", "18:00"]
    assert window_at("shift", moment) == (datetime(2026, 3, 29, 4, tzinfo=UTC), datetime(2026, 3, 29, 16, tzinfo=UTC))


@pytest.mark.django_db
def test_a_category_with_a_sampling_plan_has_its_shifts() -> None:
    category = ensure_category(name="disc")
    moment = datetime(2026, 3, 2, 12, tzinfo=UTC)
    assert window_at("shift", moment, category)[0].hour == 6
    plan(category, shift_starts=["11:00", "23:00"])
    assert window_at("shift", moment, category) == (moment.replace(hour=11), moment.replace(hour=23))


@pytest.mark.django_db
def test_a_lot_reaches_from_its_first_record_to_its_last(version: ModelVersion) -> None:
    stored(version, [Part(1.0)] * 3, lot="L 7", station="4")
    stored(version, [Part(1.0)], lot="L 8")
    scope = parse_scope({"kind": "lot", "lot": "L 7", "station": "4"})
    assert (scope.since, scope.until) == (BEGAN, BEGAN + timedelta(hours=2, microseconds=1))
    assert not scope.is_over(datetime(2030, 1, 1, tzinfo=UTC)), "more of it may come at any time"
    assert scope.title == "Lot report: all categories, station 4, lot L 7"
    with pytest.raises(NotFound, match="no record of lot L 9"):
        parse_scope({"kind": "lot", "lot": "L 9"})


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"kind": "year"}, "kind must be"),
        ({"kind": "lot"}, "needs lot"),
        ({"kind": "period", "since": "2026-01-01"}, "needs since and until"),
        ({"kind": "period", "since": "2026-01-02", "until": "2026-01-01"}, "end after it begins"),
        ({"kind": "period", "since": "2024-01-01", "until": "2026-01-01"}, "at most 366 days"),
        ({"kind": "shift", "since": "2026-01-01"}, "since does not belong to a shift report"),
        ({"kind": "lot", "lot": "7", "at": "2026-01-01"}, "at does not belong to a lot report"),
        ({"at": "yesterday"}, "at"),
        ({"at": "9999-12-31"}, "no day of a calendar"),
        ({"category": "nothing"}, "There is no category"),
        ({"station": "x" * 101}, "100 characters"),
    ],
)
def test_what_is_no_window_is_refused(params: dict[str, str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        parse_scope(params)


@pytest.mark.django_db
def test_nothing_asked_for_is_the_present_shift() -> None:
    scope = parse_scope({"kind": "", "category": "", "at": ""})
    now = datetime.now(UTC)
    assert (scope.kind, scope.category) == (Kind.SHIFT, None)
    assert scope.since <= now < scope.until
    assert not scope.is_over(now)
    assert scope.is_over(scope.until)
