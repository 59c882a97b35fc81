"""Writes: alarms are opened by the system, and acknowledged, commented and resolved by people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from common.errors import Conflict, UserError
from common.rights import Right, require
from jobs import broker
from modelzoo.models import Category
from modelzoo.services import actor_id
from monitoring.models import Alarm, AlarmComment, AlarmMessage
from records.audit.services import Actor, audit

_MAX_CAUSE, _MAX_COMMENT = 500, 1000
OPENED, RESOLVED = "opened", "resolved"


@transaction.atomic
def open_alarm(*, kind: str, category: Category, station: str, sentence: str, details: Mapping[str, Any]) -> Alarm:
    """A new alarm, or a comment of the system on the unresolved one of this kind at this station."""
    alarm = (
        Alarm.objects.select_for_update(no_key=True)
        .filter(kind=kind, category=category, station=station, status__in=Alarm.UNRESOLVED)
        .first()
    )
    if alarm is not None:
        again = AlarmComment.objects.create(alarm=alarm, text=sentence[:_MAX_COMMENT])
        audit(kind="alarm.commented", subject=alarm, actor=None, after={"text": again.text}, attests=[again])
        return alarm
    alarm = Alarm.objects.create(
        kind=kind, category=category, station=station, sentence=sentence[:500], details=dict(details)
    )
    _write_messages(alarm, OPENED)
    audit(
        kind="alarm.opened",
        subject=alarm,
        actor=None,
        after={"alarm": kind, "category": category.name, "station": station, "sentence": alarm.sentence},
    )
    return alarm


@transaction.atomic
def acknowledge_alarm(*, alarm: Alarm, actor: Actor) -> Alarm:
    """Somebody looks into it. Raises `Forbidden`, and `Conflict` where somebody did before or it is resolved."""
    require(actor, Right.REVIEW)
    alarm = _locked(alarm)
    if alarm.status != Alarm.Status.OPEN:
        raise Conflict(f"Alarm {alarm.pk} is {alarm.status} already. Nothing was changed.", code="alarm_not_open")
    alarm.status = Alarm.Status.ACKNOWLEDGED
    alarm.acknowledged_at, alarm.acknowledged_by_id = timezone.now(), actor_id(actor)
    alarm.save(update_fields=["status", "acknowledged_at", "acknowledged_by"])
    audit(kind="alarm.acknowledged", subject=alarm, actor=actor, after={"sentence": alarm.sentence})
    return alarm


@transaction.atomic
def comment_alarm(*, alarm: Alarm, text: str, actor: Actor) -> AlarmComment:
    """Raises `Forbidden`, and `UserError` for an empty text."""
    require(actor, Right.REVIEW)
    comment = AlarmComment.objects.create(
        alarm=alarm, text=_required(text, "comment", _MAX_COMMENT), author_id=actor_id(actor)
    )
    audit(kind="alarm.commented", subject=alarm, actor=actor, after={"text": comment.text}, attests=[comment])
    return comment


@transaction.atomic
def resolve_alarm(*, alarm: Alarm, cause: str, actor: Actor, is_new_normal: bool = False) -> Alarm:
    """Close it with its cause. `is_new_normal`: charts of drift begin anew with what is measured from now on.

    Raises `Forbidden`, `UserError` for a missing cause, and `Conflict` where it is resolved already.
    """
    require(actor, Right.TUNE)
    cause = _required(cause, "cause", _MAX_CAUSE)
    alarm = _locked(alarm)
    if not alarm.is_unresolved:
        raise Conflict(f"Alarm {alarm.pk} is resolved already. Nothing was changed.", code="alarm_not_open")
    alarm.status, alarm.cause, alarm.is_new_normal = Alarm.Status.RESOLVED, cause, is_new_normal
    alarm.resolved_at, alarm.resolved_by_id = timezone.now(), actor_id(actor)
    alarm.save(update_fields=["status", "cause", "is_new_normal", "resolved_at", "resolved_by"])
    _write_messages(alarm, RESOLVED)
    audit(
        kind="alarm.resolved",
        subject=alarm,
        actor=actor,
        after={"sentence": alarm.sentence, "cause": cause, "is_new_normal": is_new_normal},
    )
    return alarm


def _locked(alarm: Alarm) -> Alarm:
    return Alarm.objects.select_for_update(no_key=True).select_related("category").get(pk=alarm.pk)


def _required(text: str, what: str, limit: int) -> str:
    text = " ".join(text.split())
    if not text or len(text) > limit:
        raise UserError(f"The {what} needs 1 to {limit} characters. Nothing was changed.", code="invalid", field=what)
    return text


def _write_messages(alarm: Alarm, event: str) -> None:
    """One for each address that is set; sent once this is committed."""
    channel = AlarmMessage.Channel
    targets = [(channel.EMAIL, name) for name in settings.ALARM_EMAILS]
    targets += [(channel.WEBHOOK, url) for url in settings.ALARM_WEBHOOKS]
    now = timezone.now()
    for kind, target in targets:
        AlarmMessage.objects.create(alarm=alarm, event=event, channel=kind, target=target, due_at=now)
    if targets:
        transaction.on_commit(lambda: broker.publish("monitoring.tasks.send_messages"))
