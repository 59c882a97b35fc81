"""What passed beside the records: every part in one place, and what looks like an inspection and is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from common.errors import NotFound, UserError
from edge.gaps import comparison
from edge.gaps.selectors import check_sequence, check_window
from edge.gaps.serials import SerialSequence
from edge.passages.selectors import Window, find_counter
from edge.passages.services import Report, report_passages
from inspection.judging.services import PartContext, Submission, inspect_image
from inspection.models import Inspection, InspectionRequest, PartLayout
from inspection.parts.services import inspect_part, inspect_view
from tests.edge.line import inspected
from tests.inspection.parts.conftest import image, submission
from tests.inspection.parts.conftest import layout as layout  # a fixture
from tests.triggers import without_triggers

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("worker", "deployment")]
SEQUENCE = SerialSequence.parse("S01", "S09")
NONE = timedelta()


def ranges(found: Any) -> list[tuple[str, str, int]]:
    rows: list[tuple[str, str, int]] = found.rows
    return rows


def test_each_part_is_in_one_place(blank: bytes):
    inspected(1, station="east", serial_number="S01")
    inspected(2, station="east", serial_number="S02", defective=True)
    inspected(3, station="east", serial_number="S03")
    inspected(4, station="east", serial_number="S03")
    not_comparable = Submission(filename="blank.png", source="api", actor=None, part=PartContext("east", "", "", "S04"))
    inspect_image(data=blank, submission=not_comparable, category="disc")
    inspected(5, station="west", serial_number="S06")
    inspected(6, station="east", serial_number="T01")
    inspected(7, station="east")
    inspected(8, station="east", serial_number="S09")
    found = check_sequence("east", SEQUENCE).comparison
    assert (found.good, found.defective, found.inspected, found.total) == (2, 1, 4, 9)
    assert ranges(found.repeated) == [("S03", "S03", 1)]
    assert ranges(found.not_comparable) == [("S04", "S04", 1)]
    assert ranges(found.missing) == [("S05", "S08", 4)]
    assert [(row.serial_number, row.what) for row in found.judged_elsewhere.rows] == [("S06", "west")]
    assert [row.serial_number for row in found.outside.rows] == ["T01", ""]
    assert sum(found.models.values()) == 6


def a_request(record: Inspection, serial: str, **fields: Any) -> InspectionRequest:
    """Of the same image as a record, without one of its own."""
    like = record.request
    of_it = {"asset": like.asset, "model_version": like.model_version, "deployment": like.deployment}
    return InspectionRequest.objects.create(
        **of_it, filename="x.png", source="api", station="east", serial_number=serial, **fields
    )


def test_what_is_no_inspection_of_the_line_closes_no_gap():
    """A version tried by hand, a request that expired, one that waits."""
    first = inspected(1, station="east", serial_number="S01")
    tried = inspected(2, station="east", serial_number="S02")
    with without_triggers("inspection_inspection"):
        Inspection.objects.filter(pk=tried.pk).update(deployment=None)
    a_request(first, "S03", status="expired", error_code="not_judged_in_time")
    a_request(first, "S01", status="failed", error_code="broken")  # it was judged all the same
    a_request(first, "S11", status="failed", error_code="broken")  # of another sequence
    inspected(9, station="east", serial_number="S09")
    waiting = a_request(first, "S04", deadline=timezone.now() + timedelta(minutes=1))
    found = check_sequence("east", SEQUENCE).comparison
    assert ranges(found.missing) == [("S02", "S08", 7)]
    by_hand = "by a version that was tried by hand"
    assert [(row.serial_number, row.what) for row in found.judged_otherwise.rows] == [("S02", by_hand)]
    expired = [(row.serial_number, row.what) for row in found.ended_without_verdict.rows]
    assert expired == [("S03", "not_judged_in_time")]
    assert [(row.serial_number, row.record) for row in found.still_open.rows] == [("S04", str(waiting.pk))]


def test_a_part_of_several_views_counts_by_its_own_verdict(layout: PartLayout):
    """Its views have the same serial number: they are no second record, and none of them is the part's verdict."""
    good = [image("top"), image("left", 8), image("right", 9)]
    bad = [image("top"), image("left", 8, defective=True), image("right", 9)]
    inspect_part(submission=submission("P1", station="east", serial_number="S01"), images=good)
    inspect_part(submission=submission("P2", station="east", serial_number="S02"), images=bad)
    inspect_view(submission=submission("P3", station="east", serial_number="S03"), image=image("top"))
    unsure = [image("top"), image("left", data=b"no image"), image("right", 9)]
    inspect_part(submission=submission("P4", station="east", serial_number="S04"), images=unsure)
    found = check_sequence("east", SEQUENCE).comparison
    assert (found.good, found.defective, found.repeated.count) == (1, 1, 0)
    assert ranges(found.not_comparable) == [("S04", "S04", 1)]
    assert ranges(found.missing) == [("S03", "S03", 1), ("S05", "S09", 5)]
    assert [(row.serial_number, row.what) for row in found.still_open.rows] == [("S03", "P3")]
    assert sum(found.models.values()) >= 7


def test_passages_of_parts_of_several_views_go_by_time_too(user: User, layout: PartLayout):
    images = [image("top"), image("left", 8), image("right", 9)]
    part = inspect_part(submission=submission("P1", station="east"), images=images).inspection
    window = passed(user, Report(1, "", part.created_at), Report(2))
    found = check_window(window, delay=NONE, tolerance=timedelta(milliseconds=1))
    assert (found.comparison.good, ranges(found.comparison.missing)) == (1, [("2", "2", 1)])


def passed(user: User, *reports: Report) -> Window:
    done = report_passages(station="east", reports=reports, actor=user)
    now = datetime.now(UTC)
    return Window(find_counter(done.counter_id), now - timedelta(hours=2), now + timedelta(seconds=1))


def test_passages_with_serial_numbers(user: User):
    inspected(1, station="east", serial_number="S01")
    inspected(2, station="east", serial_number="S03")
    inspected(3, station="east", serial_number="S07")
    window = passed(user, Report(1, "S01"), Report(2, "S02"), Report(5, "S03"))
    found = check_window(window, delay=NONE, tolerance=NONE)
    assert found.doubts is not None
    assert not found.by_time
    assert [(row.first, row.last) for row in found.doubts.unreported] == [(3, 4)]
    assert ranges(found.comparison.missing) == [("S02", "S02", 1)]
    assert found.comparison.outside.count == 0  # it was judged after the last of them


def test_passages_without_serial_numbers_go_by_time(user: User):
    first = inspected(1, station="east", serial_number="S01")
    second = inspected(2, station="east", serial_number="S01")  # of the same part: it stands for no other
    third = inspected(3, station="east")
    at = [record.created_at + timedelta(seconds=1) for record in (first, second, third)]
    window = passed(user, *(Report(number, "", moment) for number, moment in enumerate(at, 1)))
    found = check_window(window, delay=timedelta(seconds=1), tolerance=timedelta(milliseconds=1))
    assert found.by_time
    assert (found.comparison.good, ranges(found.comparison.missing)) == (2, [("2", "2", 1)])
    assert [row.serial_number for row in found.comparison.outside.rows] == ["S01"]


def test_a_window_without_passages_and_one_of_too_many_are_refused(user: User, monkeypatch: pytest.MonkeyPatch):
    window = passed(user, Report(1, "S01"), Report(2, "S02"))
    monkeypatch.setattr("edge.gaps.selectors.MAX_SERIALS", 1)
    with pytest.raises(UserError, match="at most 1 parts"):
        check_window(window, delay=NONE, tolerance=NONE)
    early = Window(window.counter, window.since, window.since + timedelta(minutes=1))
    with pytest.raises(UserError, match="No passage was reported"):
        check_window(early, delay=NONE, tolerance=NONE)
    with pytest.raises(UserError, match="must end after it begins"):
        Window(window.counter, window.until, window.since)
    with pytest.raises(NotFound):
        find_counter(99)


def test_the_number_of_queries_goes_by_a_thousand_parts(user: User):
    """And what is kept in memory does not grow: ranges alone."""
    inspected(1, station="east", serial_number="S00001")
    with CaptureQueriesContext(connection) as few:
        check_sequence("east", SerialSequence.parse("S00001", "S01000"))
    with CaptureQueriesContext(connection) as many:
        found = check_sequence("east", SerialSequence.parse("S00001", "S20000"))
    assert len(many) - len(few) == 2 * 19
    assert ranges(found.comparison.missing) == [("S00002", "S20000", 19_999)]


def test_more_ranges_than_can_be_named_are_counted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(comparison, "MAX_RANGES", 2)
    for number in (2, 4, 6):
        inspected(number, station="east", serial_number=f"S0{number}")
    missing = check_sequence("east", SEQUENCE).comparison.missing
    assert (missing.count, len(missing.rows), missing.dropped) == (6, 2, 2)
