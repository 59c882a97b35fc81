"""A shift begins unproven, a pass proves the station, a failure is an alarm and puts a time in doubt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from common.errors import Conflict, UserError
from common.rights import Forbidden
from inspection.models import Inspection
from modelzoo.models import ModelVersion
from modelzoo.selectors import threshold_in_force
from monitoring.models import Alarm, DoubtfulPeriod, DriftMonitor, ReferenceCheck, ReferencePart
from monitoring.reference_parts import pages, selectors, services
from records.models import AuditEvent
from tests.monitoring.streams import checked, not_comparable, record_line, statistics

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _one_long_shift(settings: Any) -> None:
    """That began more than an hour ago, when the records of tests begin."""
    settings.SHIFT_STARTS = [f"{timezone.now() - timedelta(hours=3):%H:%M}"]


def add(version: ModelVersion, serial_number: str, expected: str = "good", **band: float) -> ReferencePart:
    return services.add_part(
        category=version.category, serial_number=serial_number, expected=expected, note="by the lab", actor=None, **band
    )


def state(version: ModelVersion, station: str = "") -> str:
    return {one.station: one.state for one in selectors.station_states([version.category])}[station]


def test_a_station_is_unproven_until_every_part_passed(version: ModelVersion) -> None:
    add(version, "G-1")
    add(version, "B-1", "defective")
    high = 2 * threshold_in_force(version.pk).value
    record_line(version, statistics(1), station="4")
    checked(version, "G-1", station="4")
    assert state(version, "4") == "unproven"
    checked(version, "B-1", station="4", score=high)
    assert state(version, "4") == "proven"
    assert not Alarm.objects.exists()
    checked(version, "G-1", station="5")
    assert state(version, "5") == "unproven"


def test_a_new_shift_begins_unproven(version: ModelVersion) -> None:
    add(version, "G-1")
    record_line(version, statistics(1))
    checked(version, "G-1")
    now = timezone.now()
    [before] = selectors.station_states([version.category], now=now)
    [after] = selectors.station_states([version.category], now=now + timedelta(hours=22))
    assert (before.state, after.state, after.missing) == ("proven", "unproven", ["G-1"])


def test_a_failed_part_is_an_alarm_and_puts_the_time_since_it_passed_in_doubt(version: ModelVersion) -> None:
    part = add(version, "B-1", "defective")
    high = 2 * threshold_in_force(version.pk).value
    [early] = record_line(version, statistics(1))
    checked(version, "B-1", score=high)
    passed = ReferenceCheck.objects.get()
    between = record_line(version, statistics(3))
    checked(version, "B-1")
    alarm = Alarm.objects.get()
    assert alarm.kind == "reference_part"
    assert "judged good, expected a defect" in alarm.sentence
    assert state(version) == "failed"
    [after] = record_line(version, statistics(1))
    doubt = DoubtfulPeriod.objects.get()
    assert (doubt.begins_at, doubt.ends_at, doubt.alarm) == (passed.checked_at, None, alarm)
    in_doubt = [bool(selectors.doubts_of(Inspection.objects.get(pk=one.pk))) for one in (early, *between, after)]
    assert in_doubt == [False, True, True, True, True]
    checked(version, "B-1", score=high)
    [later] = record_line(version, statistics(1))
    assert selectors.doubts_of(after) == [doubt]
    assert selectors.doubts_of(later) == []
    assert state(version) == "proven"
    assert part.checks.count() == 3


def test_a_score_outside_its_band_and_a_part_that_cannot_be_judged_fail(version: ModelVersion) -> None:
    threshold = threshold_in_force(version.pk).value
    add(version, "G-1", lowest_score=0.3 * threshold, highest_score=0.6 * threshold)
    for score in (0.5, 0.2, 0.8):
        checked(version, "G-1", score=score * threshold)
    not_comparable(version, "G-1")
    explanations = list(ReferenceCheck.objects.order_by("checked_at").values_list("explanation", flat=True))
    assert [bool(text) for text in explanations] == [False, True, True, True]
    assert "below" in explanations[1]
    assert "above" in explanations[2]
    assert "not comparable" in explanations[3]
    assert Alarm.objects.count() == 1
    assert DoubtfulPeriod.objects.count() == 1


def test_reference_parts_are_no_parts_of_the_line(version: ModelVersion) -> None:
    add(version, "G-1")
    record_line(version, statistics(2))
    checked(version, "G-1")
    assert DriftMonitor.objects.get().records == 2


def test_a_retired_part_is_a_part_like_others(version: ModelVersion, user: User) -> None:
    part = add(version, "G-1")
    services.retire_part(part=part, reason="worn", actor=user)
    with pytest.raises(Conflict):
        services.retire_part(part=part, reason="worn", actor=user)
    checked(version, "G-1")
    assert not ReferenceCheck.objects.exists()
    assert selectors.all_states() == []
    add(version, "G-1")
    kinds = AuditEvent.objects.filter(kind__startswith="reference_part.").order_by("sequence")
    assert [event.kind.split(".")[1] for event in kinds] == ["added", "retired", "added"]


def test_who_may_not_and_what_makes_no_sense_is_refused(version: ModelVersion, operator: User) -> None:
    usual = {"category": version.category, "serial_number": "G-1", "expected": "good", "note": "by the lab"}
    with pytest.raises(Forbidden):
        services.add_part(**usual, actor=operator)  # type: ignore[arg-type]
    for wrong in (
        {"note": ""},
        {"serial_number": " "},
        {"expected": "doubtful"},
        {"lowest_score": 2, "highest_score": 1},
    ):
        with pytest.raises(UserError):
            services.add_part(**usual | wrong, actor=None)  # type: ignore[arg-type]
    add(version, "G-1")
    with pytest.raises(Conflict):
        add(version, "G-1")
    assert ReferencePart.objects.count() == 1


def test_checks_cannot_be_changed(version: ModelVersion) -> None:
    add(version, "G-1")
    checked(version, "G-1")
    with pytest.raises(Exception, match="append-only"), transaction.atomic():
        ReferenceCheck.objects.update(passed=False)


def test_a_band_upside_down_is_refused_by_the_database(version: ModelVersion) -> None:
    part = add(version, "G-1", lowest_score=1.0, highest_score=2.0)
    with pytest.raises(IntegrityError), transaction.atomic():
        ReferencePart.objects.filter(pk=part.pk).update(lowest_score=3.0)


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)))
def test_a_shift_began_at_one_of_its_times_and_none_has_come_since(moment: datetime) -> None:
    from django.conf import settings

    now = moment.replace(tzinfo=UTC)
    settings.SHIFT_STARTS = ["06:00", "14:00", "22:00"]
    start = selectors.shift_start(now)
    assert start <= now < start + timedelta(hours=8)
    assert start.strftime("%H:%M") in settings.SHIFT_STARTS


def test_scores_of_a_part_form_a_chart(version: ModelVersion) -> None:
    part = add(version, "G-1")
    assert pages.score_chart(part, []) is None
    threshold = threshold_in_force(version.pk).value
    for share in (0.50, 0.52, 0.49, 0.51, 0.50, 0.51):
        checked(version, "G-1", score=share * threshold)
    chart = pages.score_chart(part, selectors.checks_of(part))
    assert chart is not None
    assert len(chart.rows) == 6
    low, high = (float(text) / threshold for text in chart.rows[0][3:5])
    mean_range = (0.02 + 0.03 + 0.02 + 0.01 + 0.01) / 5
    assert (high - low) / 2 == pytest.approx(2.66 * mean_range, rel=0.01)


def test_the_pages(version: ModelVersion, signed_in: Client) -> None:
    page = signed_in.get("/monitoring/reference-parts/").content.decode()
    assert "No reference part yet" in page
    fields = {"category": "disc", "serial_number": "B-1", "expected": "defective", "note": "scratch, by the lab"}
    assert signed_in.post("/monitoring/reference-parts/add", {}).status_code == 422
    assert signed_in.post("/monitoring/reference-parts/add", fields).status_code == 302
    assert signed_in.post("/monitoring/reference-parts/add", fields).status_code == 409
    part = ReferencePart.objects.get()
    [record] = record_line(version, statistics(1), station="4")
    checked(version, "B-1", station="4")
    assert "B-1" in signed_in.get("/monitoring/reference-parts/").content.decode()
    page = signed_in.get(f"/monitoring/reference-parts/{part.pk}/").content.decode()
    assert "expected a defect" in page
    assert "In doubt: reference part B-1" in signed_in.get(f"/inspections/{record.pk}/").content.decode()
    assert "failed" in signed_in.get("/?category=disc").content.decode()
    alarm = Alarm.objects.get()
    assert "until the part passes again" in signed_in.get(f"/monitoring/alarms/{alarm.pk}/").content.decode()
    address = f"/monitoring/reference-parts/{part.pk}/retire"
    assert signed_in.post(address, {"reason": ""}).status_code == 400
    assert signed_in.post(address, {"reason": "lost"}).status_code == 302
