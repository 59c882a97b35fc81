"""The page of the review queue, without scripts, and its API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from modelzoo.models import ModelVersion
from quality.models import QueueDecision, Reservation, ReviewBudget
from tests.conftest import person
from tests.inspection.judging.test_services import inspect
from tests.quality.audited import close, plan
from tests.quality.review_queue.test_services import at
from tests.versions import serve

pytestmark = pytest.mark.django_db


@pytest.fixture
def production(version: ModelVersion) -> ModelVersion:
    serve(version)
    return version


@pytest.fixture
def client(operator: User) -> Client:
    client = Client()
    client.force_login(operator)
    return client


def text(answer: Any) -> str:
    assert answer.status_code == 200, answer.content
    return " ".join(answer.content.decode().split())


def test_an_empty_system_explains_itself(client: Client):
    assert "No version is in production" in text(client.get("/quality/queue/"))
    assert client.get("/quality/queue/", {"category": "nothing"}).status_code == 404


def test_one_part_after_the_other(production: ModelVersion, client: Client):
    at(production, 0.99, 1.01, 0.2)
    page = text(client.get("/quality/queue/"))
    assert "0 of 20" in page
    assert not Reservation.objects.exists(), "looking at the page takes nothing"
    page = text(client.post("/quality/queue/take", {"category": "disc"}, follow=True))
    card = Reservation.objects.get()
    assert f'action="/quality/queue/{card.pk}"' in page
    assert "standard deviations of good parts" in page
    answer = client.post(f"/quality/queue/{card.pk}", {"category": "disc", "verdict": "defective"}, follow=True)
    page = text(answer)
    assert "Saved as a defect" in page
    assert "1 of 20" in page
    following = Reservation.objects.get()
    assert following.pk != card.pk
    assert f'action="/quality/queue/{following.pk}"' in page, "the next one is there at once"
    again = client.post(f"/quality/queue/{card.pk}", {"category": "disc", "verdict": "good"})
    assert again.status_code == 409
    assert client.post(f"/quality/queue/{following.pk}", {"category": "disc", "verdict": "so-so"}).status_code == 400
    assert QueueDecision.objects.count() == 1


def test_the_budget_is_set_on_the_page_and_ends_the_shift(production: ModelVersion, client: Client, signed_in: Client):
    fields = {"category": "disc", "per_shift": "1", "shift_starts": "06:00, 18:00", "reason": "agreed"}
    assert client.post("/quality/queue/budget", fields).status_code == 403
    assert signed_in.post("/quality/queue/budget", fields).status_code == 302
    assert signed_in.post("/quality/queue/budget", fields | {"per_shift": "0"}).status_code == 422
    assert signed_in.post("/quality/queue/budget", fields | {"shift_starts": "now"}).status_code == 400
    assert ReviewBudget.objects.get().shift_starts == ["06:00", "18:00"]
    at(production, 0.99, 0.98)
    client.post("/quality/queue/take", {"category": "disc"})
    card = Reservation.objects.get()
    page = text(client.post(f"/quality/queue/{card.pk}", {"category": "disc", "verdict": "good"}, follow=True))
    assert "The budget of this shift is reached." in page
    assert "Review another part" in page
    client.post("/quality/queue/take", {"category": "disc"})
    assert Reservation.objects.exists(), "who wants to goes on"


def test_a_part_of_the_random_audit_stays_blind(production: ModelVersion, client: Client):
    plan(production.category, percent=100)
    record = inspect(production, seed=5000)
    part = close(production.category).parts.get()
    answer = client.post("/api/review-queue/disc/next")
    card = answer.json()["card"]
    assert card["cause"] == "random_audit"
    assert [card[name] for name in ("inspection_id", "outcome", "score", "threshold")] == [None] * 4
    page = text(client.get("/quality/queue/", {"category": "disc"}))
    assert f"/api/blind-reviews/{part.pk}/image" in page
    assert str(record.pk) not in page
    assert record.filename not in page
    skipped = client.post(
        f"/api/review-cards/{card['card_id']}", json.dumps({"decision": "skipped"}), content_type="application/json"
    )
    assert (skipped.status_code, skipped.json()["inspection_id"]) == (201, None)
    assert client.post("/api/review-queue/disc/next").json()["card"] is None
    other = Client()
    other.force_login(person("tina", "operator"))
    card = other.post("/api/review-queue/disc/next").json()["card"]
    made = other.post(
        f"/api/review-cards/{card['card_id']}", json.dumps({"decision": "good"}), content_type="application/json"
    )
    assert made.json()["inspection_id"] == str(record.pk)
    part.refresh_from_db()
    assert part.decision.verdict == "good"


def test_the_api_lists_without_taking(production: ModelVersion, client: Client, signed_in: Client):
    near, far = at(production, 0.99, 0.2)
    document = client.get("/api/review-queue/disc").json()
    assert [row["inspection_id"] for row in document["records"]] == [str(near.pk), str(far.pk)]
    assert (document["blind"], document["progress"]["budget"]) == (0, 20)
    assert not Reservation.objects.exists()
    assert client.get("/api/review-queue/nothing").status_code == 404
    wrong = client.post("/api/review-cards/999", json.dumps({"decision": "good"}), content_type="application/json")
    assert (wrong.status_code, wrong.json()["code"]) == (409, "queue_part_lapsed")
    body = {"per_shift": 7, "shift_starts": ["06:00"], "reason": "agreed"}
    put = signed_in.put("/api/review-queue/disc/budget", json.dumps(body), content_type="application/json")
    assert (put.status_code, put.json()["per_shift"], put.json()["revision"]) == (200, 7, 1)
    for change in ({"per_shift": 0}, {"shift_starts": ["x"]}, {"reason": ""}, {"other": 1}):
        refused = signed_in.put(
            "/api/review-queue/disc/budget", json.dumps(body | change), content_type="application/json"
        )
        assert refused.status_code == 400
    assert client.get("/api/review-queue/disc/budget").json()["revision"] == 1
