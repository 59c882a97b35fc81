"""What tokens leave behind: last use, wrong ones by address, and what a token issues."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.api.token_use import forget_noted, is_refused, write_down_uses
from accounts.models import ApiToken
from accounts.services import issue_token, revoke_token
from common.errors import UserError
from records.models import AuditEvent

pytestmark = pytest.mark.django_db


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def kinds() -> list[str]:
    return list(AuditEvent.objects.order_by("sequence").values_list("kind", flat=True))


# ---------------------------------------------------------------- last use
def test_signing_in_by_token_writes_nothing_and_the_sweep_writes_it_down(
    counted: redis.Redis, client: Client, user: User
) -> None:
    token, key = issue_token(user=user, name="a", actor=None)
    with CaptureQueriesContext(connection) as queries:
        assert client.get("/api/me", headers=bearer(key)).status_code == 200
    assert [query["sql"] for query in queries if not query["sql"].startswith("SELECT")] == []
    token.refresh_from_db()
    assert token.last_used_at is None
    assert write_down_uses() == 1
    token.refresh_from_db()
    assert token.last_used_at is not None
    assert write_down_uses() == 0, "once"


def test_without_a_broker_a_token_works_and_no_use_is_noted(client: Client, user: User) -> None:
    forget_noted()
    _, key = issue_token(user=user, name="a", actor=None)
    assert client.get("/api/me", headers=bearer(key)).status_code == 200
    assert write_down_uses() == 0


# ---------------------------------------------------------------- wrong ones
def test_after_too_many_wrong_tokens_a_right_one_that_is_new_there_is_refused(
    counted: redis.Redis, client: Client, user: User, settings: Any
) -> None:
    settings.TOKEN_FAILURES = 3
    _, key = issue_token(user=user, name="guessed", actor=None)
    codes = [client.get("/api/me", headers=bearer(f"mvt_{n}")).status_code for n in range(5)]
    assert codes == [401, 401, 401, 429, 429]
    refused = client.get("/api/me", headers=bearer(key))
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_wrong_tokens")
    assert client.get("/api/me", headers=bearer(key), REMOTE_ADDR="10.0.0.5").status_code == 200, "elsewhere"
    [event] = AuditEvent.objects.filter(kind="token.guessing")
    assert json.loads(event.after)["address"] == "127.0.0.1"
    assert 0 < counted.ttl("tokens-wrong:127.0.0.1") <= 900


def test_stations_behind_the_same_proxy_go_on(counted: redis.Redis, client: Client, user: User, settings: Any) -> None:
    settings.TOKEN_FAILURES = 3
    token, key = issue_token(user=user, name="station", actor=None)
    assert client.get("/api/me", headers=bearer(key)).status_code == 200
    for number in range(5):
        client.get("/api/me", headers=bearer(f"mvt_{number}"))
    forget_noted()  # as another web process, or this one a minute later
    assert not is_refused(token, "127.0.0.1")
    assert client.get("/api/me", headers=bearer(key)).status_code == 200
    assert is_refused(None, "127.0.0.1")


# ---------------------------------------------------------------- tokens that issue tokens
def test_what_a_token_issues_shares_its_limit_and_its_end_and_issues_none(
    counted: redis.Redis, client: Client, user: User, settings: Any
) -> None:
    parent, key = issue_token(user=user, name="parent", actor=user)
    issued = client.post("/api/tokens", {"name": "child", "scopes": ["manage", "read"]}, headers=bearer(key)).json()
    child = ApiToken.objects.get(pk=issued["id"])
    assert child.issued_through == parent
    further = client.post("/api/tokens", {"name": "grandchild", "scopes": ["read"]}, headers=bearer(issued["key"]))
    assert (further.status_code, further.json()["code"]) == (403, "scope_exceeded")
    settings.THROTTLES = settings.THROTTLES | {"read": 2}
    counted.flushall()
    codes = [
        client.get("/api/tokens", headers=bearer(each)).status_code for each in (key, issued["key"], issued["key"])
    ]
    assert codes == [200, 200, 429], "one limit for both"
    revoke_token(token=parent, actor=user)
    child.refresh_from_db()
    assert not child.is_valid
    assert kinds()[-2:] == ["token.revoked", "token.revoked"]


def test_a_token_that_was_revoked_meanwhile_issues_none(user: User) -> None:
    parent, _ = issue_token(user=user, name="parent", actor=user)
    revoke_token(token=ApiToken.objects.get(pk=parent.pk), actor=user)
    with pytest.raises(UserError, match="revoked meanwhile"):
        issue_token(user=user, name="child", actor=user, through=parent)
