"""Reads: alarms."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import QuerySet
from django.urls import reverse

from common.errors import NotFound
from monitoring.models import Alarm


def alarms(*, category: str = "", status: str = "") -> QuerySet[Alarm]:
    """Newest first. `status` may be `unresolved`."""
    rows = Alarm.objects.select_related("category", "acknowledged_by", "resolved_by").order_by("-pk")
    if category:
        rows = rows.filter(category__name=category)
    if status == "unresolved":
        return rows.filter(status__in=Alarm.UNRESOLVED)
    return rows.filter(status=status) if status else rows


def find_alarm(alarm_id: int) -> Alarm:
    """Raises `NotFound`."""
    alarm = alarms().prefetch_related("comments__author", "messages").filter(pk=alarm_id).first()
    if alarm is None:
        raise NotFound(f"There is no alarm {alarm_id}.", code="alarm_not_found")
    return alarm


def unresolved_count() -> int:
    return Alarm.objects.filter(status__in=Alarm.UNRESOLVED).count()


def address_of(alarm: Alarm) -> str:
    """Of its page, with the name that people reach this installation by where that is set."""
    return settings.PUBLIC_URL + reverse("alarm", args=[alarm.pk])


def _name(user: AbstractBaseUser | None) -> str | None:
    return user.get_username() if user else None


def alarm_document(alarm: Alarm) -> dict[str, Any]:
    """Of a row of `alarms`."""
    return {
        "id": alarm.pk,
        "kind": alarm.kind,
        "category": alarm.category.name,
        "station": alarm.station,
        "sentence": alarm.sentence,
        "details": alarm.details,
        "status": alarm.status,
        "opened_at": alarm.opened_at.isoformat(),
        "acknowledged_at": alarm.acknowledged_at.isoformat() if alarm.acknowledged_at else None,
        "acknowledged_by": _name(alarm.acknowledged_by),
        "resolved_at": alarm.resolved_at.isoformat() if alarm.resolved_at else None,
        "resolved_by": _name(alarm.resolved_by),
        "cause": alarm.cause,
        "is_new_normal": alarm.is_new_normal,
        "page_url": reverse("alarm", args=[alarm.pk]),
    }


def whole_document(alarm: Alarm) -> dict[str, Any]:
    """Of `find_alarm`, with what was said about it."""
    return alarm_document(alarm) | {
        "comments": [
            {"text": row.text, "author": _name(row.author), "created_at": row.created_at.isoformat()}
            for row in alarm.comments.all()
        ]
    }
