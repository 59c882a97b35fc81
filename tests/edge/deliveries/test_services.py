"""The outbox: rows with the record and never without it, numbered without gaps, "no verdict" where none comes."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import jsonschema
import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from common.errors import Conflict, UserError
from common.rights import Forbidden
from edge.connections import selectors
from edge.connections.services import change_connection
from edge.deliveries.documents import message_of
from edge.deliveries.queue import begin, busy_lanes, finish, next_in
from edge.deliveries.services import resend, resend_all, write_overdue_verdicts
from edge.models import Delivery, ExpectedVerdict
from inspection.judging import worker as judging
from inspection.models import Inspection, InspectionRequest
from jobs.outbox import NotDelivered, NotSent, Refused
from modelzoo.models import Category
from records.models import AuditEvent
from tests.edge.line import deliveries, inspected, webhook
from tests.environment import ROOT

VERDICT = json.loads((ROOT / "docs" / "schemas" / "verdict-1.json").read_text())
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("worker", "deployment")]


def message(delivery: Delivery) -> dict[str, Any]:
    target = selectors.target_of(selectors.find_connection(delivery.lane.connection_id))
    document = dict(message_of(delivery, target, now=timezone.now()).document)
    # What has not begun yet is never sent; here it is looked at all the same.
    jsonschema.validate(document | {"attempt": max(document["attempt"], 1)}, VERDICT)
    return document


def test_a_record_has_a_delivery_for_each_connection_that_wants_it():
    everything, station, other = webhook(), webhook("east", station="east"), webhook("west", station="west")
    webhook("off", is_enabled=False)
    webhook("elsewhere", category=Category.objects.create(name="ring"))
    inspection = inspected(defective=True, station="east", lot="7", serial_number="S1")
    assert Delivery.objects.count() == 2
    assert not deliveries(other)
    [delivery], [same] = deliveries(everything), deliveries(station)
    assert (delivery.inspection_id, delivery.sequence, same.sequence) == (inspection.pk, 1, 1)
    said = message(delivery)
    assert said["verdict"] == said["outcome"] == "defective"
    assert (said["lot"], said["serial_number"], said["station"]) == ("7", "S1", "east")
    assert said["inspection_id"] == str(inspection.pk)
    assert not said["duplicate"]
    assert not said["late"]


def test_deliveries_of_a_lane_are_numbered_without_gaps():
    connection = webhook()
    for number in range(3):
        inspected(number, station="east")
        inspected(number + 5, station="west")
    assert [(row.lane.station, row.sequence) for row in deliveries(connection)] == [
        *(("east", 1), ("east", 2), ("east", 3), ("west", 1), ("west", 2), ("west", 3)),
    ]


def test_without_its_record_there_is_no_delivery(monkeypatch: pytest.MonkeyPatch):
    """The same transaction: what fails after the delivery was written takes it along."""
    connection = webhook()

    def fails(**_: Any) -> None:
        raise RuntimeError("the audit event could not be written")

    monkeypatch.setattr(judging, "audit", lambda **event: fails() if event["kind"] == "inspection.recorded" else None)
    with pytest.raises(UserError):
        inspected()
    assert Inspection.objects.count() == 0
    [delivery] = deliveries(connection)
    assert (delivery.event, delivery.inspection_id) == ("no_verdict", None)
    said = message(delivery)
    assert said["verdict"] == "no_verdict"
    assert said["reason"] == "inspection_failed"
    assert said["sequence"] == 1  # the number of what was rolled back is free again


def test_a_request_that_expires_is_no_verdict():
    connection = webhook()
    request = open_request()
    judging.expire_request(request)
    [delivery] = deliveries(connection)
    assert message(delivery)["verdict"] == "no_verdict"


def open_request() -> InspectionRequest:
    """One that no worker has seen yet."""
    done = inspected().request
    Delivery.objects.all().delete()
    request = InspectionRequest.objects.get(pk=done.pk)
    request.pk, request.status, request.claim, request.idempotency_key = None, "queued", None, None
    request._state.adding = True
    request.deadline = timezone.now() + timedelta(minutes=1)
    request.save()
    from inspection.endings import note_requested

    with transaction.atomic():
        note_requested(request)
    return request


def test_when_the_lines_time_is_over_no_verdict_is_said_and_never_good():
    connection, patient = webhook(line_time_ms=1000), webhook("patient")
    request = open_request()
    assert write_overdue_verdicts() == 0
    assert ExpectedVerdict.objects.filter(connection=connection, request=request).exists()
    ExpectedVerdict.objects.update(due_at=timezone.now())
    InspectionRequest.objects.filter(pk=request.pk).update(created_at=timezone.now() - timedelta(seconds=2))
    assert write_overdue_verdicts() == 1
    assert write_overdue_verdicts() == 0
    [delivery] = deliveries(connection)
    assert message(delivery)["verdict"] == "no_verdict"
    assert message(delivery)["reason"] == "line_time_over"
    judging.judge_request(request_id=request.pk, worker="test")
    [first, late] = deliveries(connection)
    said = message(late)
    assert (first.event, late.event) == ("no_verdict", "verdict")
    assert (said["verdict"], said["outcome"], said["late"]) == ("no_verdict", "good", True)
    [in_its_own_time] = deliveries(patient)
    assert message(in_its_own_time)["verdict"] == "good"
    assert not ExpectedVerdict.objects.exists()


def test_what_is_sent_after_the_lines_time_is_no_verdict_whatever_the_record_says():
    connection = webhook(line_time_ms=60_000)
    inspected()
    [delivery] = deliveries(connection)
    assert message(delivery)["verdict"] == "good"
    delivery.requested_at -= timedelta(seconds=61)
    said = message(delivery)
    assert (said["verdict"], said["outcome"], said["late"]) == ("no_verdict", "good", True)


def test_an_attempt_whose_end_nobody_knows_makes_the_next_one_a_duplicate():
    connection = webhook()
    inspected()
    [lane] = busy_lanes(connection.pk)
    [delivery] = next_in(lane)
    assert begin(delivery)
    assert not begin(Delivery(pk=delivery.pk, attempts=0, due_at=delivery.due_at)), "another process has it"
    assert not message(delivery)["duplicate"]
    # The process dies here. Whoever comes after it sends it again.
    [again] = next_in(lane)
    assert begin(again)
    said = message(again)
    assert (said["duplicate"], said["attempt"]) == (True, 2)
    finish(again, None)
    again.refresh_from_db()
    assert again.status == "sent"
    assert again.latency_ms is not None
    assert busy_lanes(connection.pk) == []


def test_what_never_left_is_no_duplicate_and_no_fault_of_the_message():
    connection = webhook()
    inspected()
    [lane] = busy_lanes(connection.pk)
    for attempt in range(1, 80):
        [delivery] = next_in(lane)
        assert begin(delivery)
        assert message(delivery)["duplicate"] is False
        assert delivery.attempts == attempt
        finish(delivery, NotSent("no way"))
    delivery.refresh_from_db()
    assert (delivery.status, delivery.failures, delivery.may_have_arrived) == ("waiting", 0, False)
    Delivery.objects.update(give_up_at=timezone.now())
    [delivery] = next_in(lane)
    assert begin(delivery)
    finish(delivery, NotSent("no way"))
    delivery.refresh_from_db()
    assert delivery.status == "failed"
    assert "no way" in delivery.error


def test_what_is_refused_for_good_is_a_dead_letter_and_holds_nobody_up():
    connection = webhook()
    for number in range(2):
        inspected(number)
    [lane] = busy_lanes(connection.pk)
    first, second = next_in(lane)
    assert begin(first)
    finish(first, NotDelivered("busy"))
    assert next_in(lane) == [], "the lane waits for its first one"
    Delivery.objects.update(due_at=timezone.now())
    first, second = next_in(lane)
    assert begin(first)
    assert message(first)["duplicate"]
    finish(first, Refused("never"))
    [next_one] = next_in(lane)
    assert next_one == second


def test_a_person_sends_dead_letters_again(user: User, operator: User):
    connection = webhook()
    for number in range(3):
        inspected(number)
    [lane] = busy_lanes(connection.pk)
    for delivery in next_in(lane):
        begin(delivery)
        finish(delivery, Refused("never"))
    first = deliveries(connection)[0]
    with pytest.raises(Forbidden):
        resend(delivery=first, actor=operator)
    resend(delivery=first, actor=user)
    with pytest.raises(Conflict):
        resend(delivery=first, actor=user)
    assert resend_all(connection=connection, actor=user) == 2
    assert AuditEvent.objects.filter(kind="delivery.resent").count() == 2
    [again, *_] = next_in(lane)
    begin(again)
    said = message(again)
    assert (said["resent"], said["duplicate"], said["sequence"]) == (True, True, 1)


def test_what_waits_for_a_disabled_connection_goes_out_later(user: User):
    connection = webhook()
    inspected()
    change_connection(connection=connection, changes={"is_enabled": False}, actor=user)
    inspected(1)
    assert len(deliveries(connection)) == 1
