"""Refused images: the first ones have an event each, repeats are summed up, and none is left out."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from records.assets.images import ImageRejected
from records.assets.services import report_refusal, sum_up_refusals
from records.models import AuditEvent, RefusedImages
from tests.threads import at_once

_FIRST = 10


def refuse(user: User | None, name: str, code: str = "not_an_image") -> None:
    report_refusal(filename=name, size=7, refusal=ImageRejected("It is none.", code=code), actor=user)


def details(kind: str) -> list[dict[str, Any]]:
    return [json.loads(event.after) for event in AuditEvent.objects.filter(kind=kind).order_by("sequence")]


def a_minute_later() -> None:
    past = timezone.now() - timedelta(minutes=2)
    RefusedImages.objects.update(reported_since=past)


@pytest.mark.django_db
def test_a_thousand_refusals_are_a_dozen_events_that_count_them_all(user: User) -> None:
    for number in range(1000):
        refuse(user, f"{number}.png", "image_too_large" if number % 10 == 0 else "not_an_image")
    assert len(details("image.refused")) == _FIRST
    assert details("image.refusals_summed_up") == []
    sum_up_refusals()
    assert details("image.refusals_summed_up") == [], "the minute is not over"
    a_minute_later()
    sum_up_refusals()
    [summary] = details("image.refusals_summed_up")
    assert summary["count"] == 1000 - _FIRST
    assert summary["reasons"] == {"not_an_image": 891, "image_too_large": 99}
    assert summary["size_bytes"] == 990 * 7
    assert summary["examples"][0] == "10.png"
    assert summary["first_at"] <= summary["last_at"]
    event = AuditEvent.objects.get(kind="image.refusals_summed_up")
    assert event.actor_name == user.username
    assert not RefusedImages.objects.exists(), "who sends nothing more is forgotten"


@pytest.mark.django_db
def test_the_next_minute_begins_with_what_was_counted_and_events_of_their_own(user: User) -> None:
    for number in range(_FIRST + 3):
        refuse(user, f"{number}.png")
    a_minute_later()
    refuse(user, "next.png")
    assert details("image.refusals_summed_up")[0]["count"] == 3
    assert details("image.refused")[-1]["filename"] == "next.png"


@pytest.mark.django_db
def test_each_sender_is_counted_alone(user: User, operator: User) -> None:
    for number in range(_FIRST + 1):
        refuse(user, f"{number}.png")
    refuse(operator, "other.png")
    refuse(None, "system.png")
    assert [each["filename"] for each in details("image.refused")[-2:]] == ["other.png", "system.png"]


@pytest.mark.django_db(transaction=True)
def test_refusals_at_the_same_moment_are_all_counted(shared_database: None, user: User) -> None:
    at_once(*[lambda number=number: refuse(user, f"{number}.png") for number in range(16)])
    a_minute_later()
    sum_up_refusals()
    assert len(details("image.refused")) + details("image.refusals_summed_up")[0]["count"] == 16
