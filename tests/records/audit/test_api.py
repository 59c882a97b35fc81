"""The audit log and its checkpoints over the API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client

from common.context import acting
from records.audit.chain.hashes import Event
from records.audit.selectors import verify_export
from records.audit.services import audit
from records.models import AuditCheckpoint, AuditEvent

pytestmark = pytest.mark.django_db
READ = ["/api/audit-events", "/api/audit-events/1", "/api/audit-events/export", "/api/audit-checkpoints"]


@pytest.fixture(autouse=True)
def _own_key(settings: Any, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path
    settings.AUDIT_SIGNING_KEY = tmp_path / "audit_key.pem"


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def reader(auditor: User) -> Client:
    return client_of(auditor)


@pytest.fixture
def events(user: User) -> None:
    with transaction.atomic():
        with acting("api", request_id="r-1", address="10.0.0.1"):
            audit(kind="threshold.set", subject=("modelzoo.modelversion", "3"), actor=user,
                  before={"revision": 1, "value": 0.5}, after={"revision": 2, "value": 0.75})  # fmt: skip
        with acting("web", request_id="r-2"):
            audit(kind="token.revoked", subject=("accounts.apitoken", "3"), actor=user, after={"name": "line 1"})
        with acting("command", request_id="r-3"):
            audit(kind="dataset.imported", subject=("training.dataset", "1"), actor=None)


@pytest.mark.parametrize("path", READ)
@pytest.mark.parametrize("slash", ["", "/"])
def test_who_may_not_read_the_log_is_told_that_nothing_is_there(
    user: User, operator: User, reader: Client, events: None, path: str, slash: str
) -> None:
    for somebody in (user, operator):
        assert client_of(somebody).get(path + slash).status_code == 404
    assert AuditEvent.objects.count() == 3
    assert reader.get(path + slash).status_code == 200


@pytest.mark.slow
def test_newest_first_in_pages(reader: Client, events: None) -> None:
    first = reader.get("/api/audit-events?limit=2").json()
    assert [event["sequence"] for event in first["results"]] == [3, 2]
    second = reader.get(first["next"]).json()
    assert [event["sequence"] for event in second["results"]] == [1]
    assert second["next"] is None
    newest = first["results"][0]
    assert newest["hash"] == AuditEvent.objects.get(sequence=3).hash
    assert newest["previous_hash"] == first["results"][1]["hash"]
    assert (newest["before"], newest["after"], newest["actor"]) == (None, None, "command")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("actor=olga", [2, 1]),
        ("kind=threshold.set", [1]),
        ("object_type=modelzoo.modelversion&object_id=3", [1]),
        ("object_type=accounts.apitoken&object_id=3", [2]),
        ("source=web", [2]),
        ("request_id=r-3", [3]),
        ("since=2020-01-01", [3, 2, 1]),
        ("since=2020-01-01T00:00:00Z", [3, 2, 1]),
        ("until=2020-01-01T00:00:00Z", []),
        ("actor=olga&source=api&since=2020-01-01T00:00:00Z", [1]),
        ("actor=nobody", []),
    ],
)
def test_filters(reader: Client, events: None, query: str, found: list[int]) -> None:
    response = reader.get(f"/api/audit-events?{query}")
    assert [event["sequence"] for event in response.json()["results"]] == found


@pytest.mark.parametrize(
    "query",
    ["object_id=3", "actor=%00", "since=yesterday", "until=0001-01-01T00:00:00%2B14:00", "cursor=x", "cursor=cD14"],
)
def test_nonsense_is_refused(reader: Client, events: None, query: str) -> None:
    response = reader.get(f"/api/audit-events?{query}")
    assert response.status_code in (400, 404), response.content
    assert response["Content-Type"] == "application/problem+json"


def test_one_event_with_its_changes(reader: Client, events: None) -> None:
    event = reader.get("/api/audit-events/1").json()
    assert event["changes"] == [
        {"field": "revision", "before": 1, "after": 2},
        {"field": "value", "before": 0.5, "after": 0.75},
    ]
    assert (event["source"], event["request_id"], event["address"]) == ("api", "r-1", "10.0.0.1")


@pytest.mark.parametrize("sequence", ["0", "4", "99999999999999999999"])
@pytest.mark.parametrize("kind", ["events", "checkpoints"])
def test_what_is_not_there(reader: Client, events: None, kind: str, sequence: str) -> None:
    response = reader.get(f"/api/audit-{kind}/{sequence}")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def exported(response: Any) -> list[Event]:
    return [Event(**json.loads(line)) for line in response.getvalue().splitlines()]


def test_the_export_verifies_and_ends_with_itself(reader: Client, auditor: User, events: None) -> None:
    response = reader.get("/api/audit-events/export")
    assert AuditEvent.objects.count() == 4, "it is in the log before the first line is read"
    assert response["Content-Type"] == "application/jsonl"
    found = exported(response)
    assert [event.sequence for event in found] == [1, 2, 3, 4]
    assert (found[-1].kind, found[-1].actor_name) == ("audit.exported", auditor.username)
    report = verify_export(found)
    assert (report.events, report.head, report.broken_at) == (4, AuditEvent.objects.get(sequence=4).hash, None)


def test_a_filtered_export_says_which_filters(reader: Client, events: None) -> None:
    found = exported(reader.get("/api/audit-events/export?actor=olga"))
    assert [event.sequence for event in found] == [1, 2]
    assert json.loads(AuditEvent.objects.get(sequence=4).after) == {"filters": {"actor": "olga"}}
    assert reader.get("/api/audit-events/export?since=x").status_code == 400
    assert AuditEvent.objects.count() == 4


def test_the_export_reads_no_more_than_it_is_asked_for(
    reader: Client, events: None, django_assert_max_num_queries: Any
) -> None:
    response = reader.get("/api/audit-events/export")
    with django_assert_max_num_queries(2):
        assert len(exported(response)) == 4


# ---------------------------------------------------------------- checkpoints
def test_an_admin_makes_a_checkpoint(administrator: User, reader: Client, events: None) -> None:
    admin = client_of(administrator)
    made = admin.post("/api/audit-checkpoints")
    assert made.status_code == 201
    assert made.json()["sequence"] == 4
    assert AuditEvent.objects.get(sequence=4).actor == administrator
    again = admin.post("/api/audit-checkpoints")
    assert (again.status_code, again.json()) == (200, made.json())
    assert reader.get(made["Location"]).json() == made.json()
    assert reader.get("/api/audit-checkpoints").json()["results"] == [made.json()]


def test_a_checkpoint_made_here_lies_elsewhere_too(
    administrator: User, events: None, settings: Any, tmp_path: Path
) -> None:
    settings.AUDIT_CHECKPOINT_DIR = str(tmp_path / "share")
    (tmp_path / "share").write_text("no folder")
    refused = client_of(administrator).post("/api/audit-checkpoints")
    assert (refused.status_code, refused.json()["code"]) == (507, "checkpoint_not_written")
    (tmp_path / "share").unlink()
    made = client_of(administrator).post("/api/audit-checkpoints")
    assert made.status_code == 200, "it is in the database since the first call"
    [file] = (tmp_path / "share").iterdir()
    assert json.loads(file.read_text()) == made.json()


def test_who_may_make_one(user: User, reader: Client, events: None) -> None:
    assert client_of(user).post("/api/audit-checkpoints").status_code == 404
    assert reader.post("/api/audit-checkpoints").status_code == 403
    assert not AuditCheckpoint.objects.exists()
