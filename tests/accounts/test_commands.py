"""Users, roles, tokens and lock-outs from the command line."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

from accounts.models import ApiToken, FailedSignIns
from common.rights import Right, may
from records.models import AuditEvent
from tests.conftest import person

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"


class Terminal(io.StringIO):
    """Somebody who types the same password, or two different ones."""

    def isatty(self) -> bool:
        return True


def run(command: str, *words: str) -> str:
    out = io.StringIO()
    call_command(command, *words, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def fails(command: str, *words: str, match: str) -> None:
    with pytest.raises(CommandError, match=match):
        run(command, *words)


def last_event() -> AuditEvent:
    return AuditEvent.objects.order_by("-sequence")[0]


# ---------------------------------------------------------------- create_user
def test_create_user_reads_the_password_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    shown = run("create_user", "ina", "--role", "engineer", "--role", "auditor", "--password-stdin", "--json")
    assert json.loads(shown)["roles"] == ["auditor", "engineer"]
    made = User.objects.get(username="ina")
    assert made.check_password(PASSWORD)
    assert may(made, Right.AUDIT)
    event = last_event()
    assert (event.kind, event.source, event.actor_name) == ("user.created", "command", "command")


def test_create_user_asks_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda prompt: PASSWORD)
    run("create_user", "ina", "--role", "operator")
    assert User.objects.get().check_password(PASSWORD)
    answers = iter([PASSWORD, "another"])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(answers))
    fails("create_user", "otto", "--role", "operator", match="differ")
    assert User.objects.count() == 1


def test_create_user_refuses(monkeypatch: pytest.MonkeyPatch, user: User) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    fails("create_user", "ina", "--role", "operator", match="--password-stdin")
    for name, password, match in (
        ("ina", "short", "too short"),
        ("olga", PASSWORD, "already"),
        ("a b", PASSWORD, "valid username"),
    ):
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
        fails("create_user", name, "--role", "operator", "--password-stdin", match=match)
    fails("create_user", "ina", "--role", "king", match="invalid choice")
    fails("create_user", "ina", match="--role")
    assert User.objects.count() == 1


# ---------------------------------------------------------------- set_roles
def test_set_roles(operator: User) -> None:
    assert json.loads(run("set_roles", "otto", "--role", "engineer", "--json"))["roles"] == ["engineer"]
    assert (last_event().kind, json.loads(last_event().before)) == ("user.changed", {"roles": ["operator"]})
    run("set_roles", "otto")
    assert not may(User.objects.get(), *Right)
    fails("set_roles", "nobody", "--role", "admin", match="no user")


# ---------------------------------------------------------------- create_token
def test_create_token_with_scopes_and_an_end(user: User, client: Client) -> None:
    key = run("create_token", "olga", "station 4", "--scope", "inspect", "--scope", "read", "--days", "30").strip()
    token = ApiToken.objects.get()
    assert token.scope_list == ["inspect", "read"]
    assert token.expires_at
    assert (token.expires_at - token.created_at).days in (29, 30)
    assert client.get("/api/status", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    assert last_event().source == "command"
    shown = json.loads(run("create_token", "olga", "another", "--json"))
    assert shown["key"].startswith(shown["hint"])
    assert (shown["scopes"], shown["expires_at"]) == (["inspect", "manage", "read"], None)


def test_create_token_refuses(user: User) -> None:
    fails("create_token", "nobody", "x", match="no user")
    fails("create_token", "olga", "x", "--days", "0", match="--days")
    fails("create_token", "olga", "x", "--days", "99999999", match="--days")
    fails("create_token", "olga", "x", "--scope", "fly", match="invalid choice")
    assert not ApiToken.objects.exists()


# ---------------------------------------------------------------- unlock_user
def test_unlock_user(client: Client, settings: Any) -> None:
    person("olga", "engineer")
    settings.LOGIN_FAILURES = settings.LOGIN_FAILURES_ADDRESS = 2
    for _ in range(2):
        client.post("/login/", {"username": "olga", "password": "wrong"})
    run("unlock_user", "olga")
    assert client.post("/login/", {"username": "olga", "password": "a-long-password"}).status_code == 200
    run("unlock_user", "127.0.0.1", "--address")
    assert last_event().kind == "sign_in.unlocked"
    assert client.post("/login/", {"username": "olga", "password": "a-long-password"}).status_code == 302
    assert not FailedSignIns.objects.exists()
    fails("unlock_user", "olga", match="is not locked: there was")
