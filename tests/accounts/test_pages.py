"""Settings of one's own, retention, help: each role sees and may what it should."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import ApiToken, FailedSignIns
from accounts.selectors import valid_token
from accounts.services import issue_token
from modelzoo.services import ensure_category
from records.models import AuditEvent
from retention.models import RetentionPolicy, RetentionRun
from retention.services import set_policy
from tests.conftest import person

pytestmark = pytest.mark.django_db
PASSWORD = "a-long-password"
RULE = {
    "category": "disc",
    "good_after_days": "30",
    "good_keep_every": "10",
    "keep_reviewed": "on",
    "reason": "storage",
}


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text(response: Any) -> str:
    return response.content.decode()


# ---------------------------------------------------------------- one's own
def test_everybody_sees_what_they_may(signed_in: Client, auditor: User, administrator: User) -> None:
    engineer = text(signed_in.get("/settings/"))
    assert "olga" in engineer
    assert "<li>set thresholds and re-score records</li>" in engineer
    assert "manage users, all tokens and retention <span" in engineer.replace("\n", "")
    assert "/admin/" not in engineer
    assert "/settings/retention/" not in engineer
    assert "/settings/retention/" in text(client_of(auditor).get("/settings/"))
    admin = text(client_of(administrator).get("/settings/"))
    assert "/users/" in admin
    assert "You may not" not in admin


def test_who_has_no_role_still_has_settings(db: None) -> None:
    page = text(client_of(person("nobody")).get("/settings/"))
    assert "without a role" in page
    assert "Issue a token" not in page
    assert client_of(User.objects.get(username="nobody")).post("/settings/tokens", {}).status_code == 403
    assert client_of(User.objects.get(username="nobody")).get("/help/").status_code == 200


def test_who_is_not_signed_in_is_asked_to() -> None:
    for path in ("/settings/", "/help/", "/audit/", "/batches/", "/settings/retention/"):
        assert Client().get(path).status_code == 302, path


def test_a_theme_is_kept_in_a_cookie(signed_in: Client) -> None:
    assert "data-theme" not in text(signed_in.get("/settings/"))
    assert signed_in.post("/settings/browser", {"theme": "dark"}).status_code == 302
    assert '<html lang="en" data-theme="dark">' in text(signed_in.get("/settings/"))
    assert signed_in.post("/settings/browser", {"theme": '"><script>'}).status_code == 422
    signed_in.post("/settings/browser", {"theme": ""})
    assert "data-theme" not in text(signed_in.get("/settings/"))
    signed_in.cookies["theme"] = '"><script>'
    assert "data-theme" not in text(signed_in.get("/settings/"))


@pytest.mark.usefixtures("deployment")
def test_a_browser_knows_its_station(signed_in: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.broker.live_workers", lambda: {})
    station = 'Linie 3; "Süd" <b>'
    assert signed_in.post("/settings/browser", {"station": f" {station} "}).status_code == 302
    for path in ("/settings/", "/"):
        assert 'value="Linie 3; &quot;Süd&quot; &lt;b&gt;"' in text(signed_in.get(path)), path
    signed_in.post("/settings/browser", {"station": "Linie\u00a03\u3000\tS\u00fcd"})
    assert 'value="Linie 3 S\u00fcd"' in text(signed_in.get("/"))
    for wrong in ("s" * 101, "a\0b", "a\u200bb"):
        assert signed_in.post("/settings/browser", {"station": wrong}).status_code == 422
    assert "Linie 3" in text(signed_in.get("/")), "what was there stays"
    signed_in.post("/settings/browser", {"station": ""})
    assert "Linie 3" not in text(signed_in.get("/"))
    signed_in.cookies["station"] = "%00%ff" + "x" * 5000
    assert signed_in.get("/").status_code == 200


def test_the_key_of_a_token_is_shown_once(signed_in: Client, user: User) -> None:
    given = {"name": "line 3", "scopes": ["inspect", "read"], "ends_on": "2099-01-31"}
    made = signed_in.post("/settings/tokens", given)
    assert made.status_code == 201
    assert "no-store" in made["Cache-Control"]
    key = made.context["key"]
    assert key in text(made)
    assert 'data-copy="key"' in text(made)
    token = valid_token(key)
    assert token is not None
    assert (token.name, token.scopes, token.user) == ("line 3", "inspect read", user)
    assert token.expires_at is not None
    assert token.expires_at.isoformat() == "2099-02-01T00:00:00+00:00"
    listed = text(signed_in.get("/settings/"))
    assert key not in listed
    assert "line 3" in listed
    again = signed_in.post("/settings/tokens", given)
    assert again.status_code == 409
    assert "already has a token" in text(again)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "x" * 101},
        {"name": "a\0b"},
        {"scopes": []},
        {"scopes": ["everything"]},
        {"ends_on": "tomorrow"},
        {"ends_on": "9999-12-31"},
        {"ends_on": "2001-01-01"},
    ],
)
def test_a_token_that_cannot_be_issued_is_a_sentence(signed_in: Client, wrong: dict[str, Any]) -> None:
    given = {"name": "line 3", "scopes": ["inspect"], "ends_on": ""} | wrong
    response = signed_in.post("/settings/tokens", given)
    assert response.status_code in (400, 422)
    assert 'class="error"' in text(response) or 'role="alert"' in text(response)
    assert not ApiToken.objects.exists()


def test_only_scopes_that_are_of_use_are_offered(signed_in: Client, auditor: User) -> None:
    theirs = client_of(auditor)
    form = theirs.get("/settings/").context["token_form"]
    assert [value for value, _ in form.fields["scopes"].choices] == ["read", "manage"]
    assert form["scopes"].value() == ["read"]
    assert theirs.post("/settings/tokens", {"name": "x", "scopes": ["inspect"]}).status_code == 422
    assert not ApiToken.objects.exists()
    assert signed_in.get("/settings/").context["token_form"]["scopes"].value() == ["inspect"]


@pytest.mark.parametrize("path", ["tokens", "tokens/1/revoke", "password", "browser"])
def test_the_address_of_a_form_opened_anew_is_the_page(signed_in: Client, path: str) -> None:
    answer = signed_in.get(f"/settings/{path}")
    assert (answer.status_code, answer["Location"]) == (302, "/settings/")
    assert signed_in.put(f"/settings/{path}").status_code == 405


def test_tokens_are_revoked_by_those_they_belong_to(signed_in: Client, user: User, operator: User) -> None:
    mine, _ = issue_token(user=user, name="mine", actor=user)
    other, _ = issue_token(user=operator, name="other", actor=operator)
    assert "other" not in [token.name for token in signed_in.get("/settings/").context["tokens"]]
    assert signed_in.post(f"/settings/tokens/{other.pk}/revoke").status_code == 404
    assert signed_in.post(f"/settings/tokens/{mine.pk}/revoke").status_code == 302
    assert ApiToken.objects.get(pk=mine.pk).revoked_at is not None
    assert ApiToken.objects.get(pk=other.pk).revoked_at is None
    assert AuditEvent.objects.filter(kind="token.revoked").get().actor_name == "olga"


def test_a_password_is_changed_and_the_audit_says_so(signed_in: Client, user: User) -> None:
    elsewhere = client_of(user)
    given = {"old_password": PASSWORD, "new_password1": "another-long-one", "new_password2": "another-long-one"}
    wrong = signed_in.post("/settings/password", given | {"old_password": "guess"})
    assert wrong.status_code == 422
    assert 'class="error"' in text(wrong)
    short = signed_in.post("/settings/password", given | {"new_password1": "short", "new_password2": "short"})
    assert short.status_code == 422
    assert not AuditEvent.objects.filter(kind="user.password_changed").exists()
    assert signed_in.post("/settings/password", given).status_code == 302
    user.refresh_from_db()
    assert user.check_password("another-long-one")
    assert signed_in.get("/settings/").status_code == 200
    assert elsewhere.get("/settings/").status_code == 302
    event = AuditEvent.objects.get(kind="user.password_changed")
    assert event.actor_name == "olga"
    assert "another" not in event.after


def test_guesses_of_ones_password_are_counted_and_reported(signed_in: Client, user: User, settings: Any) -> None:
    given = {"new_password1": "another-long-one", "new_password2": "another-long-one"}
    for _ in range(settings.LOGIN_FAILURES - 1):
        assert "entered incorrectly" in text(signed_in.post("/settings/password", given | {"old_password": "guess"}))
    assert AuditEvent.objects.filter(kind="sign_in.failed").count() == settings.LOGIN_FAILURES - 1
    short = given | {"old_password": PASSWORD, "new_password1": "short"}
    assert signed_in.post("/settings/password", short).status_code == 422
    assert not FailedSignIns.objects.filter(kind="user").exists(), "whoever knows it is forgiven"
    for _ in range(settings.LOGIN_FAILURES):
        refused = signed_in.post("/settings/password", given | {"old_password": "guess"})
    assert "Too many failed attempts" in text(refused)
    assert "Too many failed attempts" in text(signed_in.post("/settings/password", given | {"old_password": PASSWORD}))
    user.refresh_from_db()
    assert user.check_password(PASSWORD)
    assert AuditEvent.objects.filter(kind="sign_in.locked_out").count() == 1


# ---------------------------------------------------------------- retention
@pytest.fixture
def ada(administrator: User) -> Client:
    ensure_category(name="disc")
    return client_of(administrator)


def test_retention_is_for_admins_and_auditors_may_look(ada: Client, user: User, auditor: User) -> None:
    assert client_of(user).get("/settings/retention/").status_code == 404
    seen = text(client_of(auditor).get("/settings/retention/"))
    assert "No rule: every file is kept." in seen
    assert "Set a rule" not in seen
    for path in ("policy", "run"):
        assert client_of(auditor).post(f"/settings/retention/{path}", RULE).status_code == 404
    assert "Set a rule" in text(ada.get("/settings/retention/"))


def test_a_rule_is_set_rehearsed_and_carried_out(ada: Client, worker: None) -> None:
    assert ada.post("/settings/retention/policy", RULE).status_code == 302
    policy = RetentionPolicy.objects.get()
    assert (policy.revision, policy.good_after_days, policy.good_keep_every, policy.keep_reviewed) == (1, 30, 10, True)
    page = text(ada.get("/settings/retention/"))
    assert "keep 1 in 10" in page
    assert "Yes, remove" not in page
    refused = ada.post("/settings/retention/run", {"category": "disc", "dry_run": "no"})
    assert refused.status_code == 409
    assert "no finished preview" in text(refused)
    assert ada.post("/settings/retention/run", {"category": "disc"}).status_code == 302
    assert RetentionRun.objects.get().dry_run
    assert "Yes, delete by this rule" in text(ada.get("/settings/retention/"))
    assert ada.post("/settings/retention/run", {"category": "disc", "dry_run": "no"}).status_code == 302
    assert RetentionRun.objects.filter(dry_run=False, status="finished").exists()


def test_runs_are_asked_for_again_while_one_is_under_way(ada: Client, administrator: User) -> None:
    ada.post("/settings/retention/run", {})
    run = RetentionRun.objects.get()
    assert run.policy is None
    polled = ada.get("/settings/retention/", headers={"HX-Request": "true"})
    assert 'hx-trigger="every 2s"' in text(polled)
    assert "HX-Refresh" not in polled
    assert "HX-Request" in polled["Vary"]
    RetentionRun.objects.update(status="finished", finished_at=timezone.now() + timedelta(seconds=1))
    done = ada.get("/settings/retention/", headers={"HX-Request": "true"})
    assert done["HX-Refresh"] == "true"
    assert "every 2s" not in text(done)


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"category": "ring"}, 404),
        ({"category": "a\0b"}, 404),
        ({"good_after_days": "0"}, 422),
        ({"good_after_days": "9" * 30}, 422),
        ({"good_after_days": "soon"}, 422),
        ({"good_keep_every": "-1"}, 422),
        ({"reason": "  "}, 422),
        ({"reason": "a\0b"}, 422),
    ],
)
def test_a_rule_that_cannot_be_is_a_sentence(ada: Client, wrong: dict[str, str], status: int) -> None:
    response = ada.post("/settings/retention/policy", RULE | wrong)
    assert response.status_code == status
    assert 'class="error"' in text(response) or 'role="alert"' in text(response)
    assert not RetentionPolicy.objects.exists()


def test_retention_asks_no_more_for_more_categories(ada: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            ada.get("/settings/retention/")
        return len(seen)

    set_policy(category=ensure_category(name="a"), reason="x", actor=None)
    few = queries()
    for name in "bcdef":
        set_policy(category=ensure_category(name=name), reason="x", actor=None)
    assert queries() == few <= 12


# ---------------------------------------------------------------- help
def test_first_steps_are_those_that_one_may_take(client: Client, auditor: User, user: User) -> None:
    client.force_login(user)
    steps = text(client.get("/help/")).split('id="first-steps"')[1].split("</ol>")[0]
    for name in ("line", "datasets", "training-new", "models", "thresholds"):
        assert f'href="{reverse(name)}"' in steps, name
    client.force_login(auditor)
    steps = text(client.get("/help/")).split('id="first-steps"')[1].split("</ol>")[0]
    assert reverse("history") in steps
    assert reverse("training-new") not in steps
    assert "overrule" not in steps


def test_help_says_what_software_this_is(signed_in: Client) -> None:
    page = text(signed_in.get("/help/"))
    for words in ("AUPRO", "Escapes", "Space", "MIT licence", "Django", "BSD-3-Clause", "/api/docs"):
        assert words in page


# ---------------------------------------------------------------- one product
def test_the_product_has_one_name_everywhere(client: Client, administrator: User) -> None:
    from common.version import PRODUCT
    from inspection.record.pdf import PRODUCT as OF_CERTIFICATES

    assert f"Sign in · {PRODUCT}" in " ".join(text(client.get("/login/")).split()), "white space shows nowhere"
    ada = Client()
    ada.force_login(administrator)
    for address in ("/settings/", "/api/docs"):
        page = text(ada.get(address))
        assert re.search(rf"<title>\s*[^<]+ · {PRODUCT}\s*</title>", page), address
        assert f"<span>{PRODUCT}</span>" in page
    assert PRODUCT in text(ada.get("/admin/"))
    assert ada.get("/api/schema", headers={"Accept": "application/json"}).json()["info"]["title"] == PRODUCT
    assert OF_CERTIFICATES == PRODUCT


def test_the_api_has_the_header_of_all_pages_and_a_way_back(client: Client, administrator: User) -> None:
    client.force_login(administrator)
    page = text(client.get("/api/docs"))
    assert 'href="/inspections/"' in page
    assert 'aria-current="page"' in page
    assert "<h1>API</h1>" in page
    assert "<style>" not in page
    assert 'id="swagger-ui"' in page
