"""Alarms: opened once, acknowledged, commented, resolved with a cause; each act audited and allowed to whom it is."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from common.errors import Conflict, UserError
from common.rights import Forbidden
from modelzoo.models import Category
from modelzoo.services import ensure_category
from monitoring.alarms import services
from monitoring.models import Alarm, AlarmComment, AlarmMessage
from records.models import AuditEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def category(db: None) -> Category:
    return ensure_category(name="disc")


def open_one(category: Category, **fields: Any) -> Alarm:
    usual = {"kind": "drift", "station": "4", "sentence": "Out of control: focus.", "details": {}}
    return services.open_alarm(category=category, **usual | fields)


def test_a_second_finding_joins_the_unresolved_alarm(category: Category) -> None:
    first = open_one(category)
    assert open_one(category, sentence="Out of control: noise.") == first
    assert open_one(category, station="5") != first
    assert [str(comment) for comment in first.comments.all()] == ["Out of control: noise."]


def test_the_way_of_an_alarm(category: Category, user: User, operator: User) -> None:
    alarm = open_one(category)
    services.acknowledge_alarm(alarm=alarm, actor=operator)
    with pytest.raises(Conflict):
        services.acknowledge_alarm(alarm=alarm, actor=user)
    services.comment_alarm(alarm=alarm, text="lens looks dirty", actor=operator)
    with pytest.raises(Forbidden):
        services.resolve_alarm(alarm=alarm, cause="lens cleaned", actor=operator)
    with pytest.raises(UserError):
        services.resolve_alarm(alarm=alarm, cause="  ", actor=user)
    resolved = services.resolve_alarm(alarm=alarm, cause="lens cleaned", actor=user)
    assert (resolved.status, resolved.resolved_by, resolved.acknowledged_by) == ("resolved", user, operator)
    with pytest.raises(Conflict):
        services.resolve_alarm(alarm=alarm, cause="again", actor=user)
    kinds = (
        AuditEvent.objects.filter(object_type="monitoring.alarm").order_by("sequence").values_list("kind", flat=True)
    )
    assert list(kinds) == ["alarm.opened", "alarm.acknowledged", "alarm.commented", "alarm.resolved"]
    assert open_one(category).pk != alarm.pk


def test_an_auditor_looks_and_does_nothing(category: Category, auditor: User) -> None:
    alarm = open_one(category)
    with pytest.raises(Forbidden):
        services.acknowledge_alarm(alarm=alarm, actor=auditor)
    with pytest.raises(Forbidden):
        services.resolve_alarm(alarm=alarm, cause="x", actor=auditor)
    with pytest.raises(Forbidden):
        services.comment_alarm(alarm=alarm, text="x", actor=auditor)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "resolved"},
        {"status": "acknowledged"},
        {"status": "forgotten"},
        {"kind": "weather"},
        {"cause": "x"},
        {"status": "resolved", "resolved_at": timezone.now()},
    ],
)
def test_what_contradicts_itself_is_refused(category: Category, change: dict[str, Any]) -> None:
    alarm = open_one(category)
    with pytest.raises(IntegrityError), transaction.atomic():
        Alarm.objects.filter(pk=alarm.pk).update(**change)


def test_two_unresolved_alarms_of_a_kind_are_refused(category: Category) -> None:
    open_one(category)
    with pytest.raises(IntegrityError), transaction.atomic():
        Alarm.objects.create(kind="drift", category=category, station="4", sentence="x")


def test_comments_cannot_be_changed(category: Category, user: User) -> None:
    comment = services.comment_alarm(alarm=open_one(category), text="seen", actor=user)
    for change in (lambda: AlarmComment.objects.update(text="x"), lambda: comment.delete()):
        with pytest.raises(Exception, match="append-only"), transaction.atomic():
            change()


def test_a_message_waits_for_each_address(category: Category, user: User, settings: Any) -> None:
    settings.ALARM_EMAILS, settings.ALARM_WEBHOOKS = ["a@example.com", "b@example.com"], ["https://hook.example/x"]
    alarm = open_one(category)
    open_one(category, sentence="more of it")
    services.resolve_alarm(alarm=alarm, cause="lamp", actor=user)
    events = AlarmMessage.objects.filter(alarm=alarm).values_list("event", "channel")
    assert sorted(events) == sorted(
        [(event, channel) for event in ("opened", "resolved") for channel in ("email", "email", "webhook")]
    )


def test_the_page_acknowledges_comments_and_resolves(category: Category, signed_in: Client) -> None:
    alarm = open_one(category)
    address = f"/monitoring/alarms/{alarm.pk}/"
    assert signed_in.get(address).status_code == 200
    assert signed_in.post(f"{address}acknowledge").status_code == 302
    assert signed_in.post(f"{address}acknowledge").status_code == 409
    assert signed_in.post(f"{address}comment", {"text": "lens"}).status_code == 302
    assert signed_in.post(f"{address}resolve", {"cause": ""}).status_code == 400
    assert signed_in.post(f"{address}resolve", {"cause": "lens", "is_new_normal": "yes"}).status_code == 302
    alarm.refresh_from_db()
    assert (alarm.status, alarm.is_new_normal) == ("resolved", True)
    page = signed_in.get(address).content.decode()
    assert "begin anew" in page
    assert signed_in.get("/monitoring/alarms/999/").status_code == 404
