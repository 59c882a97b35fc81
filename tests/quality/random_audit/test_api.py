"""The API of random audits: nothing tells the verdict of a part before it is decided; bad input is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from modelzoo.models import ModelVersion
from quality.models import AuditedShift, BlindDecision
from records.models import AuditEvent
from tests.inspection.judging.test_services import inspect
from tests.quality.audited import close, judged, plan

pytestmark = pytest.mark.django_db
PLAN = {"category": "disc", "percent": 10, "shift_starts": ["06:00"], "reason": "agreed"}


def signed_in_as(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def shift(version: ModelVersion) -> AuditedShift:
    plan(version.category, percent=50, controls=2)
    judged(version, good=6, defective=4)
    return close(version.category)


def post(client: Client, path: str, **fields: Any) -> Any:
    return client.post(path, json.dumps(fields), content_type="application/json")


def test_what_is_handed_out_does_not_tell_the_verdict(shift: AuditedShift, operator: User):
    client = signed_in_as(operator)
    queue = client.get("/api/blind-reviews").json()["results"]
    assert len(queue) == 5
    for part in queue:
        assert set(part) == {"part_id", "category", "shift_ends_at", "image_url"}
        assert "inspection" not in part["image_url"]
    ids = [part["part_id"] for part in queue]
    assert ids == list(shift.parts.order_by("position").values_list("pk", flat=True))
    page = client.get("/quality/review/").content.decode()
    for record in shift.parts.values_list("inspection_id", "inspection__filename"):
        assert not any(str(told) in page for told in record)
    shown = client.get(f"/quality/shifts/{shift.pk}/").content.decode()
    assert shown.count("hidden</td>") == 5
    answer = post(client, f"/api/blind-reviews/{ids[0]}", verdict="good")
    assert answer.status_code == 201
    assert answer.json()["outcome"] in ("good", "defective")
    assert answer.json()["inspection_id"] in client.get(f"/quality/shifts/{shift.pk}/").content.decode()
    assert len(client.get("/api/blind-reviews").json()["results"]) == 4
    again = post(client, f"/api/blind-reviews/{ids[0]}", verdict="good")
    assert (again.status_code, again.json()["code"]) == (409, "blind_review_decided")


def test_the_image_is_that_of_the_part(version: ModelVersion, operator: User):
    plan(version.category, percent=100)
    record = inspect(version, seed=5000)
    part = close(version.category).parts.get()
    answer = signed_in_as(operator).get(f"/api/blind-reviews/{part.pk}/image")
    assert answer.content == record.asset.read()
    assert answer["Content-Type"] == "image/png"
    assert "Content-Disposition" not in answer


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"percent": 101}, "invalid"),
        ({"percent": "2.555"}, "invalid"),
        ({"shift_starts": ["6 o'clock"]}, "invalid"),
        ({"shift_starts": ["25:00"]}, "invalid_shifts"),
        ({"shift_starts": []}, "invalid_shifts"),
        ({"reason": " "}, "invalid"),
        ({"every": "day"}, "unknown_field"),
        ({"category": "nothing"}, "category_not_found"),
    ],
)
def test_a_plan_that_cannot_be(version: ModelVersion, user: User, change: dict[str, Any], code: str):
    answer = post(signed_in_as(user), "/api/sampling-plans", **PLAN | change)
    assert (answer.status_code // 100, answer.json()["code"]) == (4, code)
    assert not AuditEvent.objects.filter(kind="sampling_plan.set").exists()


def test_a_decision_that_cannot_be(shift: AuditedShift, operator: User):
    client = signed_in_as(operator)
    part = shift.parts.first()
    assert part
    for fields in ({}, {"verdict": "fine"}, {"verdict": "good", "defect_type": "scratch"}, {"verdict": "good", "x": 1}):
        assert post(client, f"/api/blind-reviews/{part.pk}", **fields).status_code == 400
    assert post(client, "/api/blind-reviews/999999", verdict="good").json()["code"] == "drawn_part_not_found"
    assert not BlindDecision.objects.exists()


def test_shifts_are_listed_newest_first(shift: AuditedShift, user: User):
    later = close(shift.category)
    client = signed_in_as(user)
    page = client.get("/api/audited-shifts", {"limit": 1}).json()
    assert [row["number"] for row in page["results"]] == [later.number]
    assert [row["number"] for row in client.get(page["next"]).json()["results"]] == [shift.number]
    assert client.get("/api/audited-shifts", {"category": "ring"}).json()["results"] == []
    document = client.get(f"/api/audited-shifts/{shift.pk}/export")
    assert document["Content-Disposition"] == 'attachment; filename="random-audit-disc-1.json"'
    assert document.json()["seed"] == shift.seed
