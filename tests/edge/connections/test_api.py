"""The API of connections."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from edge.deliveries.queue import begin, busy_lanes, finish, next_in
from jobs.outbox import Refused
from records.models import AuditEvent
from tests.edge.line import SECRET, inspected, webhook

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("worker", "deployment")]
ASKED = {
    "name": "MES",
    "kind": "webhook",
    "settings": {"url": "https://mes.example/"},
    "secrets": {"signing_secret": SECRET},
    "category": "disc",
    "line_time_ms": 1500,
}


def send(client: Client, method: str, path: str, body: Any = None) -> Any:
    return getattr(client, method)(path, json.dumps({} if body is None else body), content_type="application/json")


def test_a_connection_is_made_changed_and_listed(signed_in: Client):
    kinds = signed_in.get("/api/connection-kinds").json()["kinds"]
    assert {kind["kind"] for kind in kinds} >= {"webhook", "mqtt"}
    made = send(signed_in, "post", "/api/connections", ASKED)
    assert made.status_code == 201, made.content
    document = made.json()
    assert (document["state"], document["category"], document["enabled"]) == ("silent", "disc", True)
    assert document["settings"] == {"url": "https://mes.example/", "timeout_s": 5.0, "ca_certificate": ""}
    assert SECRET not in made.content.decode()
    assert send(signed_in, "post", "/api/connections", ASKED).json()["code"] == "connection_name_taken"
    changed = send(signed_in, "patch", document["url"], {"enabled": False, "settings": {"timeout_s": 2}})
    assert changed.json()["settings"]["url"] == "https://mes.example/"
    assert (changed.json()["state"], changed.json()["revision"]) == ("disabled", 2)
    [listed] = signed_in.get("/api/connections").json()["results"]
    assert listed["secrets"][0]["name"] == "signing_secret"
    assert send(signed_in, "patch", document["url"], {"category": None}).json()["category"] is None


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"settings": {"url": "ftp://mes"}}, "url"),
        ({"settings": {"url": "https://user:word@mes/"}}, "url"),
        ({"settings": {}}, "url"),
        ({"settings": {"url": ["https://mes.example/"]}}, "url"),
        ({"settings": {"url": "https://mes.example/", "timeout_s": True}}, "timeout_s"),
        ({"settings": {"url": "https://mes.example/", "timeout_s": 1e9}}, "timeout_s"),
        ({"settings": {"url": "https://mes.example/", "ca_certificate": "\0"}}, "ca_certificate"),
        ({"settings": {"url": "https://mes.example/", "nothing": 1}}, "nothing"),
        ({"secrets": {"nothing": "x"}}, "name"),
        ({"secrets": {"signing_secret": "short"}}, "signing_secret"),
    ],
)
def test_what_a_kind_does_not_take_is_refused(signed_in: Client, wrong: dict[str, Any], field: str):
    answer = send(signed_in, "post", "/api/connections", ASKED | wrong)
    assert answer.status_code == 400, answer.content
    assert answer.json()["field"] == field
    assert signed_in.get("/api/connections").json()["results"] == []


def test_secrets_are_in_no_answer_no_event_and_no_row(signed_in: Client):
    document = send(signed_in, "post", "/api/connections", ASKED).json()
    other = "another one of sixteen"
    answer = send(signed_in, "post", f"{document['url']}/secrets", {"name": "signing_secret", "value": other})
    assert answer.status_code == 201
    assert [secret["ends_at"] is None for secret in answer.json()["secrets"]] == [True, False]
    assert send(signed_in, "post", f"{document['url']}/end-secrets", {"name": "signing_secret"}).json() == {"ended": 1}
    kinds = [event.kind for event in AuditEvent.objects.filter(kind__startswith="connection.")]
    assert sorted(kinds) == ["connection.created", "connection.secret_ended", "connection.secret_set"]
    from django.core import serializers

    from edge.models import ConnectionSecret

    rows = serializers.serialize("json", [*AuditEvent.objects.all(), *ConnectionSecret.objects.all()])
    for secret in (SECRET, other):
        assert secret not in rows
        assert secret not in answer.content.decode()


def test_deliveries_are_listed_and_dead_letters_sent_again(signed_in: Client, user: User):
    connection = webhook()
    for number in range(3):
        inspected(number, station="east")
    [lane] = busy_lanes(connection.pk)
    for delivery in next_in(lane)[:2]:
        begin(delivery)
        finish(delivery, Refused("gone"))
    address = f"/api/connections/{connection.pk}"
    assert [row["sequence"] for row in signed_in.get(f"{address}/deliveries").json()["results"]] == [3, 2, 1]
    letters = signed_in.get(f"{address}/deliveries?status=failed").json()["results"]
    assert [row["error"] for row in letters] == ["gone", "gone"]
    assert signed_in.get(address).json()["dead_letters"] == 2
    resent = send(signed_in, "post", f"/api/deliveries/{letters[0]['delivery_id']}/resend")
    assert (resent.status_code, resent.json()["resent"]) == (200, True)
    assert send(signed_in, "post", f"/api/deliveries/{letters[0]['delivery_id']}/resend").status_code == 409
    assert send(signed_in, "post", f"{address}/resend").json() == {"resent": 1}
    assert send(signed_in, "post", f"/api/deliveries/{uuid.uuid4()}/resend").status_code == 404
    assert signed_in.get("/api/connections/99").json()["code"] == "connection_not_found"
