"""`/api/me` and `/api/tokens`: who one is, and the keys of one's programs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from accounts.models import ApiToken
from accounts.services import issue_token
from records.models import AuditEvent

pytestmark = pytest.mark.django_db


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def post(client: Client, **body: Any) -> Any:
    return client.post("/api/tokens", body, content_type="application/json")


def test_me_in_a_session(signed_in: Client) -> None:
    shown = signed_in.get("/api/me").json()
    assert (shown["username"], shown["roles"], shown["token"]) == ("olga", ["engineer"], None)
    assert "deploy" in shown["rights"]
    assert "administer" not in shown["rights"]


def test_me_with_a_token_says_what_the_token_may(client: Client, user: User) -> None:
    end = timezone.now() + timedelta(days=1)
    token, key = issue_token(user=user, name="press 4", actor=None, scopes=["inspect"], expires_at=end)
    shown = client.get("/api/me/", headers=bearer(key)).json()
    assert (shown["rights"], shown["roles"]) == (["inspect"], ["engineer"])
    assert (shown["token"]["id"], shown["token"]["name"]) == (token.pk, "press 4")
    assert shown["token"]["scopes"] == ["inspect"]
    assert shown["token"]["expires_at"]


def test_a_token_is_issued_used_listed_and_revoked(client: Client, signed_in: Client, user: User) -> None:
    made = post(signed_in, name="station 4", scopes=["read", "inspect"], expires_in_days=30)
    assert made.status_code == 201
    document = made.json()
    key = document.pop("key")
    assert (document["user"], document["scopes"], document["valid"]) == ("olga", ["inspect", "read"], True)
    assert client.get("/api/me", headers=bearer(key)).status_code == 200

    listed = signed_in.get("/api/tokens").json()["results"]
    assert [token["id"] for token in listed] == [document["id"]]
    assert key not in signed_in.get("/api/tokens").content.decode()
    address = f"/api/tokens/{document['id']}"
    assert signed_in.get(address).json()["last_used_at"] is None, "until the sweep writes it down"

    assert signed_in.delete(address).status_code == 204
    assert signed_in.delete(address).status_code == 204
    assert client.get("/api/me", headers=bearer(key)).status_code == 401
    shown = signed_in.get(address).json()
    assert (shown["valid"], bool(shown["revoked_at"])) == (False, True)
    kinds = [event.kind for event in AuditEvent.objects.order_by("sequence")]
    assert kinds == ["token.issued", "token.revoked"]
    assert {event.source for event in AuditEvent.objects.all()} == {"api"}
    assert post(signed_in, name="station 4", scopes=["read"]).status_code == 201, "the name is free again"


def test_tokens_of_others_are_not_there(signed_in: Client, client: Client, operator: User, administrator: User) -> None:
    theirs, key = issue_token(user=operator, name="x", actor=operator)
    mine, _ = issue_token(user=User.objects.get(username="olga"), name="y", actor=None)
    address = f"/api/tokens/{theirs.pk}"
    for response in (signed_in.get(address), signed_in.delete(address), signed_in.get("/api/tokens/999999")):
        assert (response.status_code, response.json()["code"]) == (404, "token_not_found")
    for of in ("otto", "nobody", "*"):
        assert signed_in.get("/api/tokens", {"user": of}).status_code == 403, "not even whether the user exists"
    assert post(signed_in, name="z", scopes=["read"], user="otto").status_code == 403
    assert len(signed_in.get("/api/tokens", {"user": "olga"}).json()["results"]) == 1

    client.force_login(administrator)
    assert client.get("/api/tokens").json()["results"] == []
    assert [t["id"] for t in client.get("/api/tokens", {"user": "otto"}).json()["results"]] == [theirs.pk]
    assert [t["id"] for t in client.get("/api/tokens", {"user": "*"}).json()["results"]] == [mine.pk, theirs.pk]
    assert client.get("/api/tokens", {"user": "nobody"}).json()["code"] == "user_not_found"
    assert post(client, name="z", scopes=["read"], user="otto").json()["user"] == "otto"
    assert client.delete(address).status_code == 204
    assert client.get("/api/me", headers=bearer(key)).status_code == 401


def test_a_token_passes_on_no_more_than_it_has(client: Client, user: User) -> None:
    end = timezone.now() + timedelta(days=2)
    _, key = issue_token(user=user, name="x", actor=None, scopes=["manage", "read"], expires_at=end)
    holder = Client(headers=bearer(key))
    refused = post(holder, name="y", scopes=["inspect"], expires_in_days=1)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_exceeded")
    for end_of in ({}, {"expires_in_days": 3}):
        refused = post(holder, name="y", scopes=["read"], **end_of)
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid_expiry")
    assert post(holder, name="y", scopes=["read"], expires_in_days=1).status_code == 201
    _, weak = issue_token(user=user, name="z", actor=None, scopes=["inspect", "read"])
    assert post(Client(headers=bearer(weak)), name="w", scopes=["read"]).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "x"},
        {"name": "", "scopes": ["read"]},
        {"name": "a\0b", "scopes": ["read"]},
        {"name": "\ud800", "scopes": ["read"]},
        {"name": "x" * 101, "scopes": ["read"]},
        {"name": ["x"], "scopes": ["read"]},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": "read"},
        {"name": "x", "scopes": ["fly"]},
        {"name": "x", "scopes": [None]},
        {"name": "x", "scopes": ["read"], "expires_in_days": 0},
        {"name": "x", "scopes": ["read"], "expires_in_days": 10**30},
        {"name": "x", "scopes": ["read"], "expires_in_days": 1.5},
        {"name": "x", "scopes": ["read"], "expires_at": "tomorrow"},
        {"name": "x", "scopes": ["read"], "expires_at": "2001-01-01T00:00:00Z"},
        {"name": "x", "scopes": ["read"], "expires_at": "9999-12-31T23:59:59-14:00"},
        {"name": "x", "scopes": ["read"], "expires_at": "2100-01-01T00:00:00Z", "expires_in_days": 3},
        {"name": "x", "scopes": ["read"], "user": "a\0b"},
    ],
)
def test_tokens_that_cannot_be(signed_in: Client, body: dict[str, Any]) -> None:
    response = post(signed_in, **body)
    assert response.status_code == 400, response.content
    assert response["Content-Type"] == "application/problem+json"
    assert not ApiToken.objects.exists()


def test_a_name_is_for_one_valid_token(signed_in: Client) -> None:
    assert post(signed_in, name="x", scopes=["read"]).status_code == 201
    assert post(signed_in, name="x", scopes=["read"]).json()["code"] == "conflict"


@pytest.mark.parametrize("query", [{"user": "a\0b"}, {"user": "x" * 200}, {"cursor": "?"}, {"limit": "0"}])
def test_lists_that_cannot_be(signed_in: Client, query: dict[str, str]) -> None:
    assert signed_in.get("/api/tokens", query).status_code == 400


def test_pages_of_tokens(signed_in: Client, user: User) -> None:
    for number in range(5):
        issue_token(user=user, name=f"t{number}", actor=None)
    first = signed_in.get("/api/tokens", {"limit": 2}).json()
    second = signed_in.get(first["next"]).json()
    assert [t["name"] for t in first["results"] + second["results"]] == ["t4", "t3", "t2", "t1"]
