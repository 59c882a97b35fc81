"""Passages that are reported: once each, in any order that can be, and never closing a gap that there may be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from common.rights import Forbidden
from edge.connections.services import create_connection
from edge.models import HeardPeriod, Passage, PassageCounter
from edge.passages.counting import CounterSize, Reset, Unreported
from edge.passages.selectors import Window, doubts_of, find_counter, window_between
from edge.passages.services import MAX_REPORTS, PassageRejected, Report, Reported, report_passages
from records.audit.chain.audited_rows import verify_all
from tests.chain import attest_people

pytestmark = pytest.mark.django_db
BEGIN = datetime(2026, 5, 4, 9, tzinfo=UTC)


def second(number: float) -> datetime:
    return BEGIN + timedelta(seconds=number)


def report(user: User, *values: int, at: float | None = None, station: str = "east", **options: Any) -> Reported:
    """One report for each value, a second apart from `at` on, where that is given."""
    reports = [
        Report(value, passed_at=None if at is None else second(at + place)) for place, value in enumerate(values)
    ]
    return report_passages(station=station, reports=reports, actor=user, **options)


def named(counter_id: int, begin: float = -10, end: float = 10_000) -> list[tuple[int, int] | str]:
    found = doubts_of(Window(find_counter(counter_id), second(begin), second(end)))
    return [*((row.first, row.last) for row in found.unreported), *("reset" for _ in found.resets)]


def test_a_jump_is_named_and_a_late_message_of_the_same_sender_closes_it(user: User):
    first = report(user, 9, 10, at=0)
    assert (first.written, first.unreported) == (2, 0)
    assert report(user, 13, at=4).unreported == 2
    assert named(first.counter_id) == [(11, 12)]
    assert report(user, 9, 10, at=0).repeated == 2
    assert report(user, 11, at=2).written == 1
    assert named(first.counter_id) == [(12, 12)]
    assert report(user, 12, at=3).written == 1
    assert report(user, 12, at=3).repeated == 1
    assert named(first.counter_id) == []
    assert Passage.objects.count() == 5


def test_another_sender_closes_no_gap(user: User, operator: User):
    first = report(user, 10, 13, at=0)
    other = report(operator, 10, 11, 12, 13, at=0)
    assert other.counter_id != first.counter_id
    assert (named(first.counter_id), named(other.counter_id)) == ([(11, 12)], [])
    connection = create_connection(name="PLC", kind="mqtt", settings={"host": "broker"}, actor=user)
    third = report_passages(station="east", reports=[Report(11), Report(12)], connection=connection)
    assert len({first.counter_id, other.counter_id, third.counter_id}) == 3
    assert named(first.counter_id) == [(11, 12)]
    report(user, 11, station="west", at=0.4)
    assert named(first.counter_id) == [(11, 12)]


def test_a_late_message_whose_time_does_not_fit_is_no_filler(user: User):
    """After a reset the value 11 is another part: it must not make the gap of before look closed."""
    first = report(user, 10, 13, at=0)
    again = report(user, 11, at=60)
    assert (again.resets, again.written) == (1, 1)
    assert named(first.counter_id) == [(11, 12), "reset"]


def test_what_comes_late_and_fits_nowhere_is_no_beginning(user: User):
    """Otherwise the next part would be counted from it, and what was lost before that one looked reported."""
    first = report(user, 0, at=0)
    assert report(user, 0, at=2).resets == 1
    late = report_passages(station="east", reports=[Report(1, "S1", second(1))], actor=user)
    assert (late.unplaced, late.resets, late.unreported) == (1, 0, 0)
    assert report(user, 2, at=5).unreported == 1
    assert named(first.counter_id) == [(1, 1), "reset"]
    assert Passage.objects.filter(serial_number="S1", position__isnull=True).count() == 1


def test_without_a_time_the_last_value_again_is_a_sign_and_a_lower_one_a_reset(user: User):
    first = report(user, 5)
    assert report(user, 5).repeated == 1
    assert report(user, 3).resets == 1
    assert Passage.objects.filter(counter=first.counter_id).count() == 2
    assert named(first.counter_id, -10, 3e7) == ["reset"]


def test_what_the_broker_sends_again_is_known_again(user: User):
    connection = create_connection(name="PLC", kind="mqtt", settings={"host": "broker"}, actor=user)

    def say(value: int, *, may_repeat: bool) -> Reported:
        return report_passages(station="east", reports=[Report(value, may_repeat=may_repeat)], connection=connection)

    for value in (5, 6, 7):
        say(value, may_repeat=False)
    assert [say(value, may_repeat=True).repeated for value in (6, 7)] == [1, 1]
    assert say(6, may_repeat=False).resets == 1


def test_the_last_value_of_another_time_is_another_part(user: User):
    """It was set back and came to the same value: a sign of life says no time, and a look at a register is none."""
    report(user, 5, at=0)
    assert (report(user, 5, at=0).repeated, report(user, 5).repeated) == (1, 1)
    assert report(user, 5, at=9).resets == 1


def test_a_value_with_another_serial_number_is_another_part(user: User):
    def say(serial: str) -> Reported:
        return report_passages(station="east", reports=[Report(5, serial)], actor=user)

    assert say("S1").written == 1
    assert say("S1").repeated == 1
    assert say("S2").resets == 1


def test_where_a_counter_stood_is_no_part(user: User):
    """A register is read: at first, and after a reset, nobody knows whether a part has just passed."""
    connection = create_connection(name="PLC", kind="modbus", settings={"host": "plc"}, actor=user)

    def look(*values: int, at: float) -> Reported:
        reports = [Report(value, passed_at=second(at + place), is_look=True) for place, value in enumerate(values)]
        return report_passages(station="east", reports=reports, connection=connection, size=CounterSize(0, 65_535))

    assert look(65_530, at=0).written == 0
    assert look(65_530, 65_533, at=10).written == 1
    assert look(0, at=20).unreported == 2
    counter = look(1, 1, 1, at=21).counter_id
    assert named(counter) == [(65_531, 65_532), (65_534, 65_535)]
    assert look(0, 1, at=70).resets == 1
    assert [row.is_mark for row in Passage.objects.order_by("run", "position")] == [
        True,
        False,
        False,
        False,
        True,
        False,
    ]
    assert named(counter) == [(65_531, 65_532), (65_534, 65_535), "reset"]
    assert [(row.since, row.until) for row in HeardPeriod.objects.all()] == [(second(0), second(71))]


def test_serial_numbers_alone(user: User):
    def say(*serials: str, at: float | None = None) -> Reported:
        when = None if at is None else second(at)
        reports = [Report(None, serial, when) for serial in serials]
        return report_passages(station="east", reports=reports, actor=user)

    assert say("S1", "S2", "S1").written == 2
    assert say("S1").repeated == 1
    assert say("S1", at=5).written == 1  # it passed once more
    assert say("S1", "S1", at=5).repeated == 2


def test_what_is_no_passage_is_refused_with_all_of_its_report(user: User, auditor: User):
    later = datetime.now(UTC) + timedelta(hours=1)
    for wrong in (Report(), Report(-1), Report(2**70), Report(1, "a\0"), Report(1, "x" * 101), Report(1, "", later)):
        with pytest.raises(PassageRejected):
            report_passages(station="east", reports=[Report(1), wrong], actor=user)
    for reports in ([], [Report(1)] * (MAX_REPORTS + 1)):
        with pytest.raises(PassageRejected):
            report_passages(station="east", reports=reports, actor=user)
    for size in (CounterSize(5, 5), CounterSize(-1, 5), CounterSize(2, 9)):
        with pytest.raises(PassageRejected):
            report_passages(station="east", reports=[Report(1)], actor=user, size=size)
    with pytest.raises(PassageRejected):
        report_passages(station="\0", reports=[Report(1)], actor=user)
    for nobody in (auditor, None):
        with pytest.raises(Forbidden):
            report_passages(station="east", reports=[Report(1)], actor=nobody)
    assert not PassageCounter.objects.exists()


def test_a_passage_cannot_be_changed_and_the_log_has_who_counts(user: User):
    report(user, 1)
    for change in (lambda: Passage.objects.update(value=2), lambda: Passage.objects.all().delete()):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()
    attest_people()
    assert verify_all().sentence == ""


def test_a_window_between_two_values(user: User):
    first = report(user, 1, 2, 3, 1, 2, 3, at=0)
    window = window_between(find_counter(first.counter_id), 1, 3)
    assert (window.since, window.passages.count()) == (second(3), 3)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(["heard", "lost", "late", "again", "reset"]), min_size=1, max_size=30),
    st.booleans(),
)
@example(["lost", "reset", "late", "lost", "heard"], False)
@example(["heard", "reset", "lost", "lost", "reset", "lost"], False)
def test_whatever_happens_no_part_is_covered_up(user: User, events: list[str], wraps: bool):
    """Each lost part is named as unreported, or lies between the two passages of a reset that is named."""
    size = CounterSize(0, 40) if wraps else None
    station = str(uuid4())
    value, at = 0, 0.0
    lost: list[tuple[int, float]] = []
    sent: list[tuple[int, float]] = []

    def say(number: int, moment: float) -> None:
        report_passages(station=station, reports=[Report(number, passed_at=second(moment))], actor=user, size=size)
        sent.append((number, moment))

    say(value, at)
    for event in events:
        at += 1
        if event == "late" and lost:
            say(*lost.pop())
            continue
        if event == "again":
            say(*sent[len(sent) // 2])
            continue
        value = 0 if event == "reset" else value + 1 if size is None else (value + 1) % 41
        if event == "lost":
            lost.append((value, at))
        else:
            say(value, at)
    counter = PassageCounter.objects.get(station=station)
    found = doubts_of(Window(counter, second(-1), second(at + 1)))
    named_ones: list[Unreported | Reset] = [*found.unreported, *found.resets]
    last = max(moment for _, moment in sent)
    for number, moment in lost:
        if moment < last:
            assert any(
                doubt.after <= second(moment) <= doubt.before
                and (isinstance(doubt, Reset) or number in _values(doubt, size))
                for doubt in named_ones
            ), (number, moment)


def _values(doubt: Unreported, size: CounterSize | None) -> set[int]:
    if size is None:
        return set(range(doubt.first, doubt.last + 1))
    return {(doubt.first + place) % size.length for place in range(doubt.count)}
