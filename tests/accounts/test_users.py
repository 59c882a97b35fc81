"""The page of users, and what its services keep: reasons, an administrator, sessions that end, tokens revoked."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import services
from accounts.models import ApiToken, FailedSignIns, TemporaryPassword
from accounts.selectors import valid_token
from accounts.services import issue_token
from common.errors import Conflict, UserError
from common.rights import Forbidden, Role
from records.models import AuditEvent
from tests.conftest import person

pytestmark = pytest.mark.django_db
PASSWORD = "a-long-password"


@pytest.fixture
def ada(administrator: User) -> Client:
    client = Client()
    client.force_login(administrator)
    return client


def sign_in(name: str, password: str) -> Client:
    client = Client()
    client.post("/login/", {"username": name, "password": password})
    return client


def is_in(client: Client) -> bool:
    return client.get("/settings/").status_code == 200


def event(kind: str) -> tuple[AuditEvent, dict[str, Any]]:
    row = AuditEvent.objects.filter(kind=kind).latest("sequence")
    return row, json.loads(row.after)


def text(response: Any) -> str:
    return str(response.content.decode())


# ---------------------------------------------------------------- the page
def test_the_list_says_who_there_is(ada: Client, operator: User, user: User) -> None:
    User.objects.filter(pk=operator.pk).update(first_name="Otto", last_name="Ortega", email="otto@example.org")
    services.issue_token(user=operator, name="line", actor=operator)
    now = timezone.now()
    FailedSignIns.objects.create(
        kind="user", name="otto", failures=5, since=now, locked_until=now + timedelta(hours=1), forget_at=now
    )
    User.objects.filter(pk=user.pk).update(is_active=False)
    page = text(ada.get("/users/"))
    for words in ("Otto Ortega", "otto@example.org", "operator", "locked out", "inactive", "never"):
        assert words in page, words
    assert "olga" not in text(ada.get("/users/", {"state": "active"}))
    assert "otto" not in text(ada.get("/users/", {"role": "engineer"}))
    assert "otto" in text(ada.get("/users/", {"q": "ORTEGA"}))
    assert "Nobody matches" in text(ada.get("/users/", {"q": "%"}))
    for wrong in ({"role": "king"}, {"state": "x"}, {"cursor": "x"}):
        assert ada.get("/users/", wrong).status_code == 404


def test_the_list_asks_no_more_for_more_people(ada: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            assert ada.get("/users/").status_code == 200
        return len(seen)

    person("one", "operator")
    few = queries()
    for number in range(5):
        person(f"more-{number}", "operator", "auditor")
    assert queries() == few <= 6


@pytest.mark.parametrize("role", ["operator", "engineer", "auditor"])
def test_only_administrators_see_and_do_it(role: str, user: User) -> None:
    client = Client()
    client.force_login(person("somebody", role))
    for path in ("/users/", "/users/new/", f"/users/{user.pk}/"):
        assert client.get(path).status_code == 403
    for act in ("roles", "details", "deactivate", "reactivate", "reset-password", "end-sessions", "unlock"):
        assert client.post(f"/users/{user.pk}/{act}", {"reason": "x"}).status_code == 403
    assert client.post("/users/new/", {"username": "x", "roles": ["admin"]}).status_code == 403
    assert "/users/" not in text(client.get("/settings/"))
    user.refresh_from_db()
    assert user.is_active
    assert User.objects.count() == 2


def test_services_ask_for_the_right_themselves(user: User, operator: User) -> None:
    for act in (services.deactivate_user, services.reset_password, services.end_sessions):
        with pytest.raises(Forbidden):
            act(user=operator, reason="x", actor=user)
    with pytest.raises(Forbidden):
        services.reactivate_user(user=operator, actor=user)
    with pytest.raises(Forbidden):
        services.change_details(user=operator, first_name="", last_name="", email="", actor=user)
    with pytest.raises(Forbidden):
        services.create_user_with_temporary_password(username="x", roles=[], actor=user)


# ---------------------------------------------------------------- new users
def test_a_new_user_gets_a_password_that_opens_one_door(ada: Client) -> None:
    form = {"username": "ina", "first_name": "Ina", "email": "ina@example.org", "roles": ["engineer"]}
    made = ada.post("/users/new/", form)
    assert made.status_code == 201
    assert "no-store" in made["Cache-Control"]
    password = made.context["password"]
    assert password in text(made)
    ina = User.objects.get(username="ina")
    assert password not in text(ada.get(f"/users/{ina.pk}/")), "shown once"
    row, after = event("user.created")
    assert (row.actor_name, after["roles"], after["email"]) == ("ada", ["engineer"], "ina@example.org")
    assert password not in row.after

    theirs = sign_in("ina", password)
    for path in ("/", "/models/", "/users/"):
        answer = theirs.get(path)
        assert (answer.status_code, answer["Location"]) == (302, "/settings/#password"), path
    assert theirs.get("/api/me").status_code == 403
    assert theirs.post("/settings/tokens", {"name": "x", "scopes": ["read"]}).status_code == 302
    assert not ApiToken.objects.exists()
    assert "Your password is temporary" in text(theirs.get("/settings/"))
    new = {"old_password": password, "new_password1": "one-of-my-own", "new_password2": "one-of-my-own"}
    assert theirs.post("/settings/password", new).status_code == 302
    assert theirs.get("/models/").status_code == 200
    assert not TemporaryPassword.objects.exists()
    assert sign_in("ina", "one-of-my-own").get("/models/").status_code == 200
    assert not is_in(sign_in("ina", password))


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"username": ""}, 422),
        ({"username": "a b"}, 400),
        ({"username": "otto"}, 409),
        ({"email": "no address"}, 422),
        ({"roles": []}, 422),
        ({"roles": ["king"]}, 422),
        ({"first_name": "a\0b"}, 422),
    ],
)
def test_users_that_cannot_be_are_a_sentence(ada: Client, operator: User, wrong: dict[str, Any], status: int) -> None:
    answer = ada.post("/users/new/", {"username": "ina", "roles": ["operator"]} | wrong)
    assert answer.status_code == status
    assert 'class="error"' in text(answer) or 'role="alert"' in text(answer)
    assert User.objects.count() == 2


def test_temporary_passwords_are_good_ones() -> None:
    from django.contrib.auth.password_validation import validate_password

    made = {services._temporary_password() for _ in range(50)}
    assert len(made) == 50
    for password in made:
        try:
            validate_password(password)
        except ValidationError as error:
            pytest.fail(str(error))


# ---------------------------------------------------------------- roles
def test_roles_are_changed_and_taken_away_for_a_reason(ada: Client, operator: User) -> None:
    address = f"/users/{operator.pk}/roles"
    assert ada.post(address, {"roles": ["operator", "engineer"]}).status_code == 302
    refused = ada.post(address, {"roles": ["engineer"]})
    assert refused.status_code == 400
    assert "needs a reason" in text(refused)
    assert ada.post(address, {"roles": ["engineer"], "reason": "moved to quality"}).status_code == 302
    row, after = event("user.changed")
    assert (row.actor_name, after) == ("ada", {"roles": ["engineer"], "reason": "moved to quality"})
    assert ada.post(address, {"roles": ["king"]}).status_code == 422
    assert "moved to quality" in text(ada.get(f"/audit/{row.pk}/"))


def test_details_are_changed(ada: Client, operator: User) -> None:
    address = f"/users/{operator.pk}/details"
    assert ada.post(address, {"first_name": "Otto", "email": "otto@example.org"}).status_code == 302
    assert event("user.changed")[1] == {"first_name": "Otto", "email": "otto@example.org"}
    wrong = ada.post(address, {"email": "nowhere"})
    assert wrong.status_code == 422
    assert 'class="error"' in text(wrong)


def test_the_last_administrator_stays_one(ada: Client, administrator: User) -> None:
    address = f"/users/{administrator.pk}"
    for act, data in (("roles", {"roles": ["engineer"], "reason": "x"}), ("deactivate", {"reason": "x"})):
        refused = ada.post(f"{address}/{act}", data)
        assert refused.status_code == 409
        assert "last active administrator" in text(refused)
    switched_off = person("otto", "admin")
    User.objects.filter(pk=switched_off.pk).update(is_active=False)
    assert ada.post(f"{address}/roles", {"roles": [], "reason": "x"}).status_code == 409, "one who is inactive is none"
    person("another", "admin")
    refused = ada.post(f"{address}/deactivate", {"reason": "x"})
    assert (refused.status_code, "deactivate yourself" in text(refused)) == (409, True)
    assert ada.post(f"{address}/roles", {"roles": ["engineer"], "reason": "x"}).status_code == 302
    assert ada.get("/users/").status_code == 403


def test_a_superuser_counts_as_an_administrator(administrator: User, admin_user: User) -> None:
    services.set_roles(user=administrator, roles=[], reason="x", actor=admin_user)
    with pytest.raises(Conflict, match="last active administrator"):
        services.deactivate_user(user=admin_user, reason="x", actor=None)


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql_too
def test_two_administrators_never_remove_each_other(shared_database: None) -> None:
    one, other = person("one", "admin"), person("other", "admin")
    barrier, refused = threading.Barrier(2), []

    def remove(target: User, actor: User) -> None:
        try:
            barrier.wait()
            services.deactivate_user(user=target, reason="x", actor=User.objects.get(pk=actor.pk))
        except UserError as error:
            refused.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=remove, args=pair) for pair in ((one, other), (other, one))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert User.objects.filter(is_active=True, groups__name=Role.ADMIN).count() == 1


# ---------------------------------------------------------------- access
def test_who_is_deactivated_is_out_at_once_and_tokens_stay_revoked(ada: Client, operator: User) -> None:
    theirs = sign_in("otto", PASSWORD)
    _, key = issue_token(user=operator, name="line", actor=operator)
    assert is_in(theirs)
    assert ada.post(f"/users/{operator.pk}/deactivate", {}).status_code == 400, "for a reason"
    assert is_in(theirs)
    assert ada.post(f"/users/{operator.pk}/deactivate", {"reason": "left"}).status_code == 302
    assert not is_in(theirs)
    assert not is_in(sign_in("otto", PASSWORD))
    assert event("user.changed")[1] == {"is_active": False, "reason": "left"}
    assert event("token.revoked")[1] == {"name": "line", "reason": "left"}
    assert ada.post(f"/users/{operator.pk}/deactivate", {"reason": "left"}).status_code == 409
    assert "Reactivate" in text(ada.get(f"/users/{operator.pk}/"))
    assert ada.post(f"/users/{operator.pk}/reactivate").status_code == 302
    assert ada.post(f"/users/{operator.pk}/reactivate").status_code == 409
    assert not is_in(theirs), "the session from before is over"
    assert is_in(sign_in("otto", PASSWORD))
    assert valid_token(key) is None


def test_a_password_is_reset_for_a_reason(ada: Client, administrator: User, operator: User) -> None:
    theirs = sign_in("otto", PASSWORD)
    assert ada.post(f"/users/{operator.pk}/reset-password", {"reason": " "}).status_code == 400
    reset = ada.post(f"/users/{operator.pk}/reset-password", {"reason": "forgotten"})
    password = reset.context["password"]
    assert password in text(reset)
    assert not is_in(theirs)
    assert not is_in(sign_in("otto", PASSWORD))
    row, after = event("user.password_reset")
    assert (row.actor_name, after, password in row.after) == ("ada", {"reason": "forgotten"}, False)
    assert sign_in("otto", password).get("/").status_code == 302
    own = ada.post(f"/users/{administrator.pk}/reset-password", {"reason": "x"})
    assert (own.status_code, "in the settings" in text(own)) == (409, True)


def test_sessions_are_ended(ada: Client, operator: User) -> None:
    browsers = [sign_in("otto", PASSWORD) for _ in range(2)]
    assert ada.post(f"/users/{operator.pk}/end-sessions", {"reason": "tablet lost"}).status_code == 302
    assert not any(is_in(browser) for browser in browsers)
    assert event("user.sessions_ended")[1] == {"sessions": 2, "reason": "tablet lost"}
    assert Session.objects.count() == 1, "that of the administrator goes on"
    assert is_in(sign_in("otto", PASSWORD))


def test_a_lock_out_is_ended(ada: Client, operator: User, settings: Any) -> None:
    for _ in range(settings.LOGIN_FAILURES):
        sign_in("otto", "wrong")
    page = text(ada.get(f"/users/{operator.pk}/"))
    assert "Locked out" in page
    assert ada.post(f"/users/{operator.pk}/unlock").status_code == 302
    assert is_in(sign_in("otto", PASSWORD))
    assert event("sign_in.unlocked")[0].actor_name == "ada"
    assert ada.post(f"/users/{operator.pk}/unlock").status_code == 404


def test_tokens_are_revoked_for_a_reason(ada: Client, operator: User, user: User) -> None:
    token, key = issue_token(user=operator, name="line", actor=operator)
    assert "line" in text(ada.get(f"/users/{operator.pk}/"))
    assert ada.post(f"/users/{user.pk}/tokens/{token.pk}/revoke", {"reason": "x"}).status_code == 404
    assert ada.post(f"/users/{operator.pk}/tokens/{token.pk}/revoke", {"reason": "leaked"}).status_code == 302
    assert valid_token(key) is None
    assert event("token.revoked")[1] == {"name": "line", "reason": "leaked"}


def test_what_is_not_there_is_404(ada: Client, operator: User) -> None:
    assert ada.get("/users/999999/").status_code == 404
    assert ada.post("/users/999999/deactivate", {"reason": "x"}).status_code == 404
    assert ada.post(f"/users/{operator.pk}/promote", {"reason": "x"}).status_code == 404
    assert ada.get(f"/users/{operator.pk}/deactivate")["Location"] == f"/users/{operator.pk}/"
    assert ada.post("/users/999999/tokens/1/revoke").status_code == 404
