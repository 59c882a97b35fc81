"""Retention over the API: who may, what is refused, what a removed file answers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from modelzoo.models import ModelVersion
from records.models import Asset
from retention import services
from retention.models import RetentionPolicy, RetentionRun
from tests.inspection.judging.test_services import inspect
from tests.mvtec_site.test_api import problem

pytestmark = pytest.mark.django_db
RULE = {"category": "disc", "good_after_days": 30, "good_keep_every": 10, "reason": "storage"}


def signed_in_as(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def ada(administrator: User) -> Client:
    return signed_in_as(administrator)


def post(client: Client, path: str, body: dict[str, Any]) -> Any:
    return client.post(path, body, content_type="application/json")


def test_policies_are_set_and_listed(ada: Client, version: ModelVersion) -> None:
    made = post(ada, "/api/retention-policies", RULE)
    assert made.status_code == 201
    document = made.json()
    assert {name: document[name] for name in RULE} == RULE
    assert (document["revision"], document["author"], document["maps_after_days"]) == (1, "ada", None)
    assert ada.get(made["Location"]).json() == document
    second = post(ada, "/api/retention-policies/", {"category": "disc", "reason": "keep all"}).json()
    assert (second["revision"], second["good_after_days"]) == (2, None)
    assert [row["id"] for row in ada.get("/api/retention-policies").json()["results"]] == [second["id"], document["id"]]
    in_force = ada.get("/api/retention-policies", {"in_force": "true", "category": "disc"}).json()["results"]
    assert in_force == [second]
    assert ada.get("/api/retention-policies", {"category": "ring"}).json()["results"] == []


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"category": "ring"}, 404, "category_not_found"),
        ({"category": "a\0b"}, 400, "invalid"),
        ({"reason": "  "}, 400, "invalid"),
        ({"reason": "a\0b"}, 400, "invalid"),
        ({"good_after_days": 0}, 400, "invalid"),
        ({"good_after_days": 2**70}, 400, "invalid"),
        ({"maps_after_days": "soon"}, 400, "invalid"),
        ({"good_keep_every": -1}, 400, "invalid"),
        ({"keep_reviewed": "perhaps"}, 400, "invalid"),
    ],
)
def test_policies_that_cannot_be(
    ada: Client, version: ModelVersion, change: dict[str, Any], status: int, code: str
) -> None:
    problem(post(ada, "/api/retention-policies", RULE | change), status, code)
    assert not RetentionPolicy.objects.exists()


def test_a_dry_run_comes_before_a_real_one(ada: Client, version: ModelVersion) -> None:
    problem(post(ada, "/api/retention-runs", {"category": "disc"}), 404, "retention_policy_not_found")
    problem(post(ada, "/api/retention-runs", {"category": "ring"}), 404, "category_not_found")
    post(ada, "/api/retention-policies", RULE)
    problem(post(ada, "/api/retention-runs", {"category": "disc", "dry_run": False}), 409, "dry_run_missing")
    problem(post(ada, "/api/retention-runs", {"dry_run": False}), 409, "dry_run_missing")
    asked = post(ada, "/api/retention-runs", {"category": "disc"})
    assert (asked.status_code, asked.json()["status"], asked.json()["dry_run"]) == (202, "queued", True)
    problem(post(ada, "/api/retention-runs", {"category": "disc"}), 409, "retention_run_open")
    services.work_on_run(run_id=asked.json()["id"])
    finished = ada.get(asked["Location"]).json()
    assert (finished["status"], finished["policy_revision"], finished["requested_by"]) == ("finished", 1, "ada")
    real = post(ada, "/api/retention-runs", {"category": "disc", "dry_run": False})
    assert (real.status_code, real.json()["dry_run"]) == (202, False)
    rows = ada.get("/api/retention-runs", {"dry_run": "false"}).json()["results"]
    assert [row["id"] for row in rows] == [real.json()["id"]]
    assert ada.get("/api/retention-runs", {"category": "disc"}).json()["results"][1]["id"] == asked.json()["id"]
    services.work_on_run(run_id=real.json()["id"])
    post(ada, "/api/retention-policies", RULE | {"good_after_days": 20})
    problem(post(ada, "/api/retention-runs", {"category": "disc", "dry_run": False}), 409, "dry_run_missing")


def test_what_is_not_there(ada: Client) -> None:
    problem(ada.get("/api/retention-policies/7"), 404, "retention_policy_not_found")
    problem(ada.get("/api/retention-runs/999999999999999999"), 404, "retention_run_not_found")
    problem(ada.get("/api/retention-runs", {"sha256": "abc"}), 400, "invalid")
    problem(ada.get("/api/retention-runs", {"dry_run": "perhaps"}), 400, "invalid")
    problem(post(ada, "/api/retention-runs", {"category": [5], "dry_run": []}), 400, "invalid")


def test_who_may(version: ModelVersion, user: User, operator: User, auditor: User, administrator: User) -> None:
    post(signed_in_as(administrator), "/api/retention-policies", RULE)
    policy = RetentionPolicy.objects.get()
    run = services.request_run(policy=policy, dry_run=True, actor=administrator)
    paths = (
        "/api/retention-policies",
        f"/api/retention-policies/{policy.pk}",
        "/api/retention-runs",
        f"/api/retention-runs/{run.pk}",
    )
    for who in (user, operator):
        for path in paths:
            problem(signed_in_as(who).get(path), 404, "not_found")
        problem(post(signed_in_as(who), "/api/retention-policies", RULE), 404, "not_found")
        problem(post(signed_in_as(who), "/api/retention-runs", {}), 404, "not_found")
    for path in paths:
        assert signed_in_as(auditor).get(path).status_code == 200
    problem(post(signed_in_as(auditor), "/api/retention-policies", RULE), 403, "permission_denied")
    problem(post(signed_in_as(auditor), "/api/retention-runs", {}), 403, "permission_denied")
    problem(Client().get("/api/retention-runs"), 401, "not_authenticated")


def test_a_removed_picture_says_when_it_went(signed_in: Client, version: ModelVersion) -> None:
    record = inspect(version)
    assert record.map
    gone = timezone.now()
    address = f"/api/inspections/{record.pk}"
    shown = signed_in.get(f"{address}/image")
    assert shown.status_code == 200
    Asset.objects.filter(pk=record.asset_id).update(discarded_at=gone, file="")
    for picture in ("image", "thumbnail"):
        document = problem(signed_in.get(f"{address}/{picture}"), 410, "image_discarded")
        assert document["discarded_at"] == gone.isoformat()
        assert document["sha256"] == record.asset.sha256
    assert signed_in.get(f"{address}/map").status_code == 200
    Asset.objects.filter(pk=record.map.pk).update(discarded_at=gone, file="")
    for picture in ("map", "overlay"):
        problem(signed_in.get(f"{address}/{picture}"), 410, "image_discarded")
    for form in ("url", "full", "none"):
        answer = signed_in.get(address, {"anomaly_map": form})
        assert answer.status_code == 200, "the record stays"
        assert answer.json()["score"] == record.score
        assert (answer.json()["anomaly_map"] is None) is (form != "url")
    assert signed_in.get(f"/inspections/{record.pk}/").status_code == 200


def test_the_run_that_took_a_picture_can_be_asked_for(ada: Client, version: ModelVersion) -> None:
    gone = inspect(version).asset
    post(ada, "/api/retention-policies", {"category": "disc", "good_after_days": 1, "reason": "storage"})
    run = services.request_run(policy=RetentionPolicy.objects.get(), dry_run=False, actor=None, here=True)
    RetentionRun.objects.update(created_at=timezone.now() + timedelta(days=2))
    services.work_on_run(run_id=run.pk)
    [found] = ada.get("/api/retention-runs", {"sha256": gone.sha256}).json()["results"]
    assert (found["id"], found["policy_revision"], found["images"]) == (run.pk, 1, 1)
    assert ada.get("/api/retention-runs", {"sha256": "0" * 64}).json()["results"] == []
