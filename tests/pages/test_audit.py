"""The audit history: who may see it, what it says, how it is narrowed down, and that it notices."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.services import issue_token
from inspection.models import Inspection
from modelzoo.models import ModelVersion
from records import selectors
from records.models import AuditEvent
from records.services import audit, make_checkpoint
from tests.services.test_inspection import inspect
from tests.triggers import without_any_triggers

pytestmark = pytest.mark.django_db


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def audrey(auditor: User) -> Client:
    return client_of(auditor)


def happen(count: int = 1, **said: Any) -> None:
    for index in range(count):
        with transaction.atomic():
            audit(
                **{"kind": "test.done", "subject": ("thing", str(index)), "actor": None, "after": {"n": index}, **said}
            )


@pytest.mark.parametrize("path", ["/audit/", "/audit/verify", "/audit/1/"])
def test_only_those_who_may_know_that_it_is_there(
    path: str, user: User, operator: User, auditor: User, administrator: User
) -> None:
    happen()
    for someone, status in ((user, 404), (operator, 404), (auditor, 200), (administrator, 200)):
        assert client_of(someone).get(path).status_code == status, someone
    assert "/audit/" not in client_of(operator).get("/settings/").content.decode()
    assert 'href="/audit/"' in client_of(auditor).get("/settings/").content.decode()


def test_an_event_says_who_what_when_and_where_and_what_changed(audrey: Client, user: User) -> None:
    happen(kind="thing.set", actor=user, before={"limit": 3, "note": "<b>old</b>"}, after={"limit": 4, "note": "new"})
    page = audrey.get("/audit/").content.decode()
    assert "thing.set" in page
    assert "olga" in page
    assert "<del>limit: 3</del>" in page
    assert "<ins>limit: 4</ins>" in page
    assert "&lt;b&gt;old&lt;/b&gt;" in page
    assert "<b>old</b>" not in page
    one = audrey.get(reverse("audit-event", args=[1])).content.decode()
    event = AuditEvent.objects.get(sequence=1)
    assert event.hash in one
    assert "fits what it says" in one
    assert audrey.get("/audit/999999/").status_code == 404


def test_a_change_that_rounding_would_hide_is_shown(audrey: Client) -> None:
    happen(before={"value": 0.12345612, "note": "a"}, after={"value": 0.12345634, "note": "b"})
    page = audrey.get("/audit/").content.decode()
    assert "<del>value: 0.12345612</del>" in page
    assert "<ins>value: 0.12345634</ins>" in page


def test_a_long_event_is_whole_on_its_own_page(audrey: Client) -> None:
    happen(after={f"field{index}": "x" * 400 for index in range(9)})
    listed, one = audrey.get("/audit/").content.decode(), audrey.get("/audit/1/").content.decode()
    assert "4 more" in listed
    assert "x" * 400 not in listed
    assert "field8" not in listed
    assert "field8" in one
    assert "x" * 400 in one


def test_objects_are_linked_to_their_pages(audrey: Client, version: ModelVersion, deployment: Any) -> None:
    record: Inspection = inspect(version)
    page = audrey.get("/audit/", {"kind": "inspection.recorded"}).content.decode()
    assert reverse("inspection", args=[record.pk]) in page
    assert f">inspection {str(record.pk)[:8]}</a>" in page
    assert ">Inspection recorded</a>" in page
    assert f"p_value: {record.p_value:.6g}" in page
    [event] = AuditEvent.objects.filter(kind="inspection.recorded")
    one = audrey.get(reverse("audit-event", args=[event.sequence])).content.decode()
    assert f"inspection.inspection {record.pk}" in one
    assert f"score: {record.score!r}" in one, "on its own page to the last digit"


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"actor": "olga"}, ["b.done"]),
        ({"kind": "a.done"}, ["a.done"]),
        ({"object_type": "thing", "object_id": "0"}, ["b.done", "a.done"]),
        ({"object_type": "other"}, []),
        ({"source": "system"}, ["b.done", "a.done"]),
        ({"source": "web"}, []),
        ({"since": timezone.localdate().isoformat()}, ["b.done", "a.done"]),
        ({"until": (timezone.localdate() - timedelta(days=1)).isoformat()}, []),
        ({"until": timezone.localdate().isoformat(), "kind": "b.done"}, ["b.done"]),
        ({"nonsense": "x"}, ["b.done", "a.done"]),
    ],
)
def test_filters_are_state_of_the_address(
    audrey: Client, user: User, filters: dict[str, str], found: list[str]
) -> None:
    happen(kind="a.done")
    happen(kind="b.done", actor=user)
    response = audrey.get("/audit/", filters)
    assert response.status_code == 200
    assert [row.event.kind for row in response.context["rows"]] == found
    if not found:
        assert "No event meets these filters" in response.content.decode()


@pytest.mark.parametrize(("name", "day"), [("since", "0001-01-01"), ("until", "9999-12-31")])
def test_a_day_out_of_reach_is_said_of_its_field(audrey: Client, settings: Any, name: str, day: str) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    response = audrey.get("/audit/", {name: day})
    assert response.status_code == 400
    assert list(response.context["form"].errors) == [name]


@pytest.mark.parametrize(
    "filters",
    [
        {"since": "yesterday"},
        {"until": "9999-12-31"},
        {"object_id": "7"},
        {"actor": "a\0b"},
        {"kind": "x" * 1000},
        {"cursor": "nonsense"},
        {"limit": "0"},
    ],
)
def test_what_is_no_filter_is_said_and_nothing_is_looked_up(audrey: Client, filters: dict[str, str]) -> None:
    happen()
    response = audrey.get("/audit/", filters)
    assert response.status_code == 400
    assert "rows" not in response.context
    assert 'role="alert"' in response.content.decode()


def test_pages_follow_each_other(audrey: Client) -> None:
    happen(7)
    first = audrey.get("/audit/", {"limit": 3})
    second = audrey.get(first.context["page"].next)
    assert [row.event.sequence for row in first.context["rows"]] == [7, 6, 5]
    assert [row.event.sequence for row in second.context["rows"]] == [4, 3, 2]
    back = audrey.get(second.context["page"].previous)
    assert [row.event.sequence for row in back.context["rows"]] == [7, 6, 5]


def test_the_export_is_of_what_is_shown(audrey: Client) -> None:
    happen(kind="a.done")
    happen(kind="b.done")
    today = timezone.localdate().isoformat()
    link = audrey.get("/audit/", {"kind": "a.done", "since": today, "until": today}).context["export"]
    lines = audrey.get(link).getvalue().decode().splitlines()
    assert [json.loads(line)["kind"] for line in lines if "kind" in json.loads(line)] == ["a.done"]


def test_the_chain_is_shown_and_the_newest_events_are_verified(audrey: Client, administrator: User) -> None:
    assert "Nothing has happened yet" not in audrey.get("/audit/verify").content.decode()
    happen(3)
    make_checkpoint(actor=administrator)
    happen(2)
    page = audrey.get("/audit/").content.decode()
    assert AuditEvent.objects.get(sequence=6).hash[:12] in page
    assert "Its signature is genuine" in page
    assert "2 events since" in page
    verified = audrey.get("/audit/verify").content.decode()
    assert "The last 6 events hold" in verified
    assert "1 signed checkpoint among them agrees" in verified
    partial = audrey.get("/audit/verify", headers={"HX-Request": "true"}).content.decode()
    assert partial.strip().startswith('<div id="verified"')


def test_what_was_tampered_with_is_found_and_said(audrey: Client, administrator: User) -> None:
    happen(5)
    make_checkpoint(actor=administrator)
    with without_any_triggers():
        AuditEvent.objects.filter(sequence=4).update(actor_name="mallory")
    assert "broken at event 4" in audrey.get("/audit/verify").content.decode()
    assert "was changed after it was written" in audrey.get("/audit/4/").content.decode()
    with without_any_triggers():
        AuditEvent.objects.filter(sequence__gte=4).delete()
    assert "newest events were removed" in audrey.get("/audit/verify").content.decode()
    assert "The last checkpoint does not hold" in audrey.get("/audit/").content.decode()


def test_only_the_newest_are_verified_at_once(auditor: User) -> None:
    happen(8)
    with without_any_triggers():
        AuditEvent.objects.filter(sequence=2).update(actor_name="mallory")
    assert selectors.verify_latest(5).broken_at is None
    assert selectors.verify_latest(5).events == 5
    assert selectors.verify_latest(8).broken_at == 2


def test_values_to_choose_from_are_found_step_by_step(user: User) -> None:
    assert selectors.values_of("kind") == []
    happen(3, kind="b.done")
    happen(2, kind="a.done", actor=user)
    assert selectors.values_of("kind") == ["a.done", "b.done"]
    assert selectors.values_of("actor_name") == ["olga", "system"]
    with pytest.raises(ValueError, match="hash"):
        selectors.values_of("hash")


def test_the_number_of_queries_does_not_grow(audrey: Client, user: User) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            assert audrey.get("/audit/").status_code == 200
        return len(seen)

    happen(2)
    few = queries()
    happen(30, actor=user)
    issue_token(user=user, name="x", actor=user)
    assert queries() == few <= 14
