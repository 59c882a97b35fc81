"""The doors: users and roles, signing in and being locked out, tokens, throttles, the administration site."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import redis
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from django.utils import timezone

from accounts import sign_in
from accounts.models import ApiToken, FailedSignIns
from accounts.services import create_user, issue_token, revoke_token, set_roles
from common.context import acting, address_of
from common.errors import Conflict, NotFound, UserError
from common.rights import Forbidden, Right, Scope, may, narrow
from records.models import AuditEvent
from tests.accounts.conftest import forget_broker
from tests.conftest import person
from tests.threads import at_once

pytestmark = pytest.mark.django_db
PASSWORD = "a-long-password"


def events(kind: str) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(kind=kind).order_by("sequence"))


def after(event: AuditEvent) -> dict[str, Any]:
    return dict(json.loads(event.after))


# ---------------------------------------------------------------- users
def test_a_user_is_made_with_roles_and_the_audit_says_so(administrator: User) -> None:
    made = create_user(username="ina", password="correct horse battery", roles=["engineer"], actor=administrator)
    assert made.check_password("correct horse battery")
    assert may(made, Right.TRAIN)
    [event] = events("user.created")
    assert (event.actor_name, event.object_id) == ("ada", str(made.pk))
    assert after(event)["roles"] == ["engineer"]
    assert "correct horse" not in event.after
    assert made.password not in event.after


@pytest.mark.parametrize(
    ("username", "password", "roles", "code"),
    [
        ("ina", "short", ["operator"], "invalid_user"),
        ("ina", "0123456789012", ["operator"], "invalid_user"),
        ("ina-the-engineer", "ina-the-engineer", ["operator"], "invalid_user"),
        ("", "correct horse battery", ["operator"], "invalid_user"),
        ("a b", "correct horse battery", ["operator"], "invalid_user"),
        ("x" * 151, "correct horse battery", ["operator"], "invalid_user"),
        ("ina", "correct horse battery", ["king"], "unknown_role"),
    ],
)
def test_users_that_cannot_be(db: None, username: str, password: str, roles: list[str], code: str) -> None:
    with pytest.raises(UserError) as caught:
        create_user(username=username, password=password, roles=roles, actor=None)
    assert caught.value.code == code
    assert not User.objects.exists()
    assert not AuditEvent.objects.exists()


def test_a_name_is_taken_once(user: User) -> None:
    with pytest.raises(Conflict):
        create_user(username=user.username, password="correct horse battery", roles=["operator"], actor=None)


@pytest.mark.parametrize("role", ["operator", "engineer", "auditor"])
def test_only_admins_make_users_and_give_roles(role: str) -> None:
    somebody = person("somebody", role)
    with pytest.raises(Forbidden):
        create_user(username="ina", password="correct horse battery", roles=["admin"], actor=somebody)
    with pytest.raises(Forbidden):
        set_roles(user=somebody, roles=["admin"], actor=somebody)
    with pytest.raises(Forbidden):
        issue_token(user=person("other", "admin"), name="x", actor=somebody)


def test_roles_change_and_the_audit_has_before_and_after(operator: User, administrator: User) -> None:
    set_roles(user=operator, roles=["engineer", "auditor"], actor=administrator, reason="moved")
    assert may(User.objects.get(pk=operator.pk), Right.AUDIT)
    [event] = events("user.changed")
    assert json.loads(event.before) == {"roles": ["operator"]}
    assert after(event) == {"roles": ["auditor", "engineer"], "reason": "moved"}
    with pytest.raises(UserError, match="needs a reason"):
        set_roles(user=operator, roles=["engineer"], actor=administrator)
    set_roles(user=operator, roles=["auditor", "engineer"], actor=administrator)
    assert len(events("user.changed")) == 1


# ---------------------------------------------------------------- signing in
def sign(client: Client, username: str, password: str, address: str = "10.0.0.1") -> Any:
    return client.post("/login/", {"username": username, "password": password}, REMOTE_ADDR=address)


def is_in(response: Any) -> bool:
    return bool(response.status_code == 302)


def later(minutes: float) -> None:
    """Let time go by for what failed."""
    for row in FailedSignIns.objects.all():
        for name in ("since", "locked_until", "reported_at", "forget_at"):
            if value := getattr(row, name):
                setattr(row, name, value - timedelta(minutes=minutes))
        row.save()


def test_signing_in_and_out_is_audited(client: Client, user: User) -> None:
    assert is_in(sign(client, "olga", PASSWORD))
    assert client.get("/").status_code == 200
    client.post("/logout/")
    assert client.get("/").status_code == 302
    signed_in, signed_out = AuditEvent.objects.order_by("sequence")
    assert (signed_in.kind, signed_in.actor_name, signed_in.address) == ("sign_in.succeeded", "olga", "10.0.0.1")
    assert (signed_out.kind, signed_out.actor_name, signed_out.object_id) == ("sign_out", "olga", str(user.pk))
    assert not FailedSignIns.objects.exists()


def test_a_name_is_locked_out_and_let_in_again(client: Client, user: User, settings: Any) -> None:
    for _ in range(settings.LOGIN_FAILURES):
        refused = sign(client, "olga", "wrong")
    assert "Too many failed attempts" in refused.content.decode()
    assert len(events("sign_in.failed")) == settings.LOGIN_FAILURES
    [locked] = events("sign_in.locked_out")
    assert after(locked) | {"until": ""} == {
        "username": "olga", "address": "10.0.0.1", "by": "user", "failures": 5, "refused": 0, "until": "",
    }  # fmt: skip
    assert "wrong" not in "".join(event.after for event in AuditEvent.objects.all())

    for address in ("10.0.0.1", "10.0.0.2"):  # the right password, from anywhere
        refused = sign(client, "olga", PASSWORD, address)
        assert not is_in(refused)
        assert "Too many failed attempts" in refused.content.decode()
    later(settings.LOGIN_WINDOW - 1)
    assert not is_in(sign(client, "olga", PASSWORD))
    reported = events("sign_in.locked_out")[-1]
    assert after(reported)["refused"] == 3
    later(1.1)
    assert is_in(sign(client, "olga", PASSWORD))


def test_a_lock_out_is_told_once_a_minute(client: Client, user: User, settings: Any) -> None:
    settings.LOGIN_FAILURES = 1
    for _ in range(20):
        sign(client, "olga", "wrong")
    assert len(events("sign_in.failed")) == 1
    assert len(events("sign_in.locked_out")) == 1
    later(1.1)
    sign(client, "olga", "wrong")
    assert [after(event)["refused"] for event in events("sign_in.locked_out")] == [0, 20]


def test_the_page_does_not_tell_who_exists(client: Client, user: User, settings: Any) -> None:
    def tries(name: str, address: str) -> list[str]:
        pages = [sign(client, name, "wrong", address).content.decode() for _ in range(settings.LOGIN_FAILURES + 1)]
        return ["".join(line for line in page.splitlines() if "<p>" in line).replace(name, "") for page in pages]

    known, unknown = tries("olga", "10.0.0.1"), tries("nobody", "10.0.0.2")
    assert known == unknown
    assert "do not match" in known[0]
    assert "Too many failed" in known[-1]


def test_the_right_password_forgives_the_name(client: Client, user: User, settings: Any) -> None:
    for _ in range(3):
        for _ in range(settings.LOGIN_FAILURES - 1):
            sign(client, "olga", "wrong")
        assert is_in(sign(client, "olga", PASSWORD))
        client.logout()
    assert not events("sign_in.locked_out")


def test_an_address_that_tries_many_names_is_locked_out(client: Client, user: User, settings: Any) -> None:
    settings.LOGIN_FAILURES_ADDRESS = 6
    for number in range(5):
        sign(client, f"name-{number}", "wrong")
    assert is_in(sign(client, "olga", PASSWORD)), "a try that is right counts against nobody"
    client.logout()
    sign(client, "name-5", "wrong")
    assert not is_in(sign(client, "olga", PASSWORD))
    assert is_in(sign(client, "olga", PASSWORD, "10.0.0.2")), "others come in"
    [event] = events("sign_in.locked_out")
    assert (after(event)["by"], after(event)["address"]) == ("address", "10.0.0.1")
    names = FailedSignIns.objects.filter(kind="user").count()
    sign(client, "another-name", "wrong")
    assert FailedSignIns.objects.filter(kind="user").count() == names, "who is refused leaves no more rows"


def test_old_failures_are_forgotten_and_removed(client: Client, user: User, settings: Any) -> None:
    for number in range(10):
        sign(client, f"name-{number}", "wrong", f"10.0.1.{number}")
    assert FailedSignIns.objects.count() == 20
    later(settings.LOGIN_WINDOW + 1)
    sign(client, "olga", "wrong")
    assert {row.name for row in FailedSignIns.objects.all()} == {"olga", "10.0.0.1"}
    later(settings.LOGIN_WINDOW + 1)
    sign(client, "olga", "wrong")
    assert {row.failures for row in FailedSignIns.objects.all()} == {1}


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "\uff2f\uff2c\uff27\uff21", "'; DROP TABLE", " "])
def test_names_that_are_none(client: Client, user: User, name: str) -> None:
    for _ in range(6):
        assert sign(client, name, "wrong").status_code == 200


def test_somebody_switched_off_does_not_come_in(client: Client, user: User) -> None:
    User.objects.update(is_active=False)
    assert "do not match" in sign(client, "olga", PASSWORD).content.decode()


def test_unlocking(client: Client, user: User, operator: User, administrator: User, settings: Any) -> None:
    for _ in range(settings.LOGIN_FAILURES):
        sign(client, "olga", "wrong")
    with pytest.raises(Forbidden):
        sign_in.unlock(kind="user", name="olga", actor=operator)
    sign_in.unlock(kind="user", name="olga", actor=administrator)
    assert is_in(sign(client, "olga", PASSWORD))
    [event] = events("sign_in.unlocked")
    assert (event.actor_name, event.object_id) == ("ada", str(user.pk))
    assert json.loads(event.before)["failures"] == settings.LOGIN_FAILURES
    with pytest.raises(NotFound):
        sign_in.unlock(kind="user", name="olga", actor=administrator)


def test_tries_that_overlap_look_at_no_more_passwords_than_the_limit(
    user: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try begins while all before it are still looking at their passwords."""
    looked_at: list[str] = []
    real = sign_in.authenticate

    def attempt(number: int) -> str:
        try:
            sign_in.try_password(request=RequestFactory().post("/login/"), username="olga", password=f"no {number}")
        except UserError as error:
            return error.code
        return "in"

    def look(request: Any, **given: str) -> Any:
        looked_at.append(given["password"])
        attempt(len(looked_at))
        return real(request, **given)

    monkeypatch.setattr(sign_in, "authenticate", look)
    assert attempt(0) == "locked_out"
    assert len(looked_at) == settings.LOGIN_FAILURES
    assert [after(event)["refused"] for event in events("sign_in.locked_out")] == [1]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shared_database")
def test_tries_in_parallel_look_at_no_more_passwords_than_the_limit(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    person("olga", "engineer")

    def attempt(number: int) -> Any:
        with acting("web", address=f"10.0.2.{number % 3}"):
            return sign_in.try_password(request=RequestFactory().post("/login/"), username="olga", password="wrong")

    outcomes = at_once(*(partial(attempt, number) for number in range(12)))
    assert all(isinstance(outcome, UserError) for outcome in outcomes), outcomes
    assert len(outcomes) == 12
    assert len(events("sign_in.failed")) == settings.LOGIN_FAILURES
    assert FailedSignIns.objects.get(kind="user").failures == settings.LOGIN_FAILURES


@pytest.mark.parametrize(
    ("proxies", "header", "address"),
    [
        (0, "1.2.3.4", "10.0.0.9"),
        (1, "", "10.0.0.9"),
        (1, "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        (2, "6.6.6.6, 1.2.3.4, 10.0.0.8", "1.2.3.4"),
        (3, "1.2.3.4", "10.0.0.9"),
        (1, "nonsense", "10.0.0.9"),
        (1, "::1", "::1"),
    ],
)
def test_only_our_own_proxies_are_believed(settings: Any, proxies: int, header: str, address: str) -> None:
    settings.PROXIES = proxies
    headers = {"X-Forwarded-For": header} if header else {}
    assert address_of(RequestFactory().get("/", REMOTE_ADDR="10.0.0.9", headers=headers)) == address


# ---------------------------------------------------------------- tokens
def test_a_token_gives_away_no_more_than_it_is(user: User) -> None:
    end = timezone.now() + timedelta(days=3)
    through, _ = issue_token(user=user, name="first", actor=user, scopes=["read", "manage"], expires_at=end)
    narrow(user, through.scope_list)
    given: dict[str, Any] = {"user": user, "actor": user, "through": through}
    with pytest.raises(UserError) as caught:
        issue_token(**given, name="more", scopes=["inspect"], expires_at=end)
    assert caught.value.code == "scope_exceeded"
    for later_end in (None, end + timedelta(seconds=1)):
        with pytest.raises(UserError) as caught:
            issue_token(**given, name="longer", scopes=["read"], expires_at=later_end)
        assert caught.value.code == "invalid_expiry"
    issue_token(**given, name="less", scopes=["read"], expires_at=end)
    assert after(events("token.issued")[-1])["through"] == f"token {through.pk}"


@pytest.mark.parametrize("scope", [Scope.INSPECT, Scope.READ])
def test_a_token_that_does_not_manage_issues_and_revokes_none(user: User, scope: Scope) -> None:
    token, _ = issue_token(user=user, name="x", actor=None, scopes=[scope])
    narrow(user, token.scope_list)
    with pytest.raises(Forbidden):
        issue_token(user=user, name="y", actor=user, scopes=[scope], through=token)
    with pytest.raises(Forbidden):
        revoke_token(token=token, actor=user)


def test_only_ones_own_tokens_are_revoked(user: User, operator: User, administrator: User) -> None:
    token, _ = issue_token(user=user, name="x", actor=user)
    with pytest.raises(Forbidden):
        revoke_token(token=token, actor=operator)
    revoke_token(token=token, actor=administrator)
    token.refresh_from_db()
    assert token.revoked_at
    revoke_token(token=token, actor=administrator)
    assert len(events("token.revoked")) == 1


def test_an_end_in_the_past_is_refused(user: User) -> None:
    with pytest.raises(UserError, match="in the future"):
        issue_token(user=user, name="x", actor=user, expires_at=timezone.now())
    assert not ApiToken.objects.exists()


# ---------------------------------------------------------------- throttles
def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_more_than_the_limit_is_refused_and_told_when_to_come_again(
    counted: redis.Redis, client: Client, user: User, settings: Any
) -> None:
    settings.THROTTLES = settings.THROTTLES | {"read": 3}
    _, key = issue_token(user=user, name="a", actor=None)
    _, other = issue_token(user=user, name="b", actor=None)
    for _ in range(3):
        assert client.get("/api/tokens", headers=bearer(key)).status_code == 200
    refused = client.get("/api/tokens", headers=bearer(key))
    assert (refused.status_code, refused.json()["code"]) == (429, "throttled")
    assert refused["Content-Type"] == "application/problem+json"
    assert refused["Retry-After"] == "10"
    assert "More than 3 requests" in refused.json()["detail"]
    assert client.get("/api/tokens", headers=bearer(other)).status_code == 200, "another token is another caller"
    assert client.post("/api/load_model", headers=bearer(key)).status_code == 404, "another kind has its own limit"
    assert all(0 < counted.ttl(name) <= 120 for name in list(counted.scan_iter("throttle:*")))


def test_a_kind_follows_from_the_right_that_is_needed(
    counted: redis.Redis, client: Client, user: User, signed_in: Client
) -> None:
    _, key = issue_token(user=user, name="a", actor=None, scopes=["inspect"])
    client.get("/api/status", headers=bearer(key))
    signed_in.get("/api/status")
    signed_in.post("/api/test_image")
    signed_in.post("/api/load_model")
    client.get("/api/status", headers=bearer("wrong"))
    client.get("/api/status")
    keys = [str(key, "ascii") for key in counted.scan_iter("throttle:*")]
    names = {key.removeprefix("throttle:").rsplit(":", 1)[0] for key in keys}
    token = ApiToken.objects.get()
    mine = f"user-{user.pk}"
    assert names == {
        f"inspect:token-{token.pk}", f"read:{mine}", f"inspect:{mine}", f"manage:{mine}", "anonymous:127.0.0.1",
    }  # fmt: skip


def test_guessing_keys_is_throttled_by_address(counted: redis.Redis, client: Client, settings: Any) -> None:
    settings.THROTTLES = settings.THROTTLES | {"anonymous": 2}
    found = [client.get("/api/status", headers=bearer(f"mvt_{n}")).status_code for n in range(4)]
    assert found == [401, 401, 429, 429]
    assert client.get("/api/status", REMOTE_ADDR="10.0.0.5").status_code == 401


def test_who_is_refused_for_want_of_a_right_is_counted_too(
    counted: redis.Redis, client: Client, operator: User, settings: Any
) -> None:
    settings.THROTTLES = settings.THROTTLES | {"manage": 1}
    client.force_login(operator)
    assert [client.post("/api/load_model").status_code for _ in range(2)] == [403, 429]


def test_zero_is_no_limit(counted: redis.Redis, signed_in: Client, settings: Any) -> None:
    settings.THROTTLES = settings.THROTTLES | {"read": 0}
    assert {signed_in.get("/api/tokens").status_code for _ in range(5)} == {200}
    assert not list(counted.scan_iter("throttle:*"))


def test_without_a_broker_nobody_is_held_up_and_the_log_says_it_once(
    signed_in: Client, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.THROTTLES = settings.THROTTLES | {"read": 1}
    forget_broker()
    assert {signed_in.get("/api/tokens").status_code for _ in range(5)} == {200}
    assert len([line for line in caplog.messages if "no request is throttled" in line]) == 1


# ---------------------------------------------------------------- the administration site
@pytest.fixture
def admins(client: Client, administrator: User) -> Client:
    client.force_login(administrator)
    return client


def test_the_site_has_no_second_door(client: Client, operator: User) -> None:
    asked = client.get("/admin/", follow=True)
    assert asked.redirect_chain[-1][0] == "/login/?next=/admin/"
    assert client.get("/admin/login/?next=/admin/auth/user/")["Location"] == "/login/?next=/admin/auth/user/"
    posted = client.post("/admin/login/", {"username": "otto", "password": PASSWORD})
    assert posted["Location"].startswith("/login/")
    assert not client.session.get("_auth_user_id")


@pytest.mark.parametrize("role", ["operator", "engineer", "auditor", "admin"])
def test_who_may_administer_gets_in(client: Client, role: str) -> None:
    client.force_login(person("somebody", role))
    inside = client.get("/admin/", follow=True)
    assert inside.status_code == (200 if role == "admin" else 403)
    if role != "admin":
        assert "the right to administer" in inside.content.decode()
    assert ("/admin/" in client.get("/").content.decode()) == (role == "admin")


def test_permissions_given_by_hand_mean_nothing(client: Client, operator: User) -> None:
    from django.contrib.auth.models import Permission

    operator.user_permissions.set(Permission.objects.all())
    User.objects.filter(pk=operator.pk).update(is_staff=True)
    client.force_login(operator)
    assert client.get("/admin/auth/user/", follow=True).status_code == 403
    again = User.objects.get(pk=operator.pk)
    assert not again.has_perm("auth.change_user")
    assert not again.has_module_perms("auth")
    assert again.get_all_permissions() == set()


def test_an_admin_has_all_of_djangos_permissions(administrator: User) -> None:
    assert administrator.has_perm("auth.change_user")
    assert administrator.has_module_perms("auth")
    assert "auth.change_user" in administrator.get_all_permissions()


def test_people_are_looked_at_there_and_managed_on_their_page(admins: Client, operator: User) -> None:
    address = f"/admin/auth/user/{operator.pk}/change/"
    assert f'href="/users/{operator.pk}/"' in admins.get(address).content.decode()
    assert admins.post(address, {"username": "ina"}).status_code == 403
    assert admins.post("/admin/auth/user/add/", {"username": "ina"}).status_code == 403
    admins.post(f"/admin/auth/user/{operator.pk}/password/", {"password1": "x"})
    assert User.objects.get(pk=operator.pk).check_password(PASSWORD)
    assert not User.objects.filter(username="ina").exists()


def test_ones_own_password_is_changed_in_the_settings(admins: Client, administrator: User) -> None:
    form = {"old_password": PASSWORD, "new_password1": "correct horse battery"}
    form["new_password2"] = form["new_password1"]
    assert admins.get("/admin/password_change/", follow=True).redirect_chain == [("/settings/", 302)]
    assert admins.post("/admin/password_change/", form)["Location"] == "/settings/"
    assert admins.get("/admin/password_change/done/").status_code == 200
    administrator.refresh_from_db()
    assert administrator.check_password(PASSWORD)
    assert admins.post("/admin/logout/").status_code == 302
    assert len(events("sign_out")) == 1


def test_nobody_is_deleted_and_roles_stand_in_the_code(admins: Client, operator: User) -> None:
    assert admins.post(f"/admin/auth/user/{operator.pk}/delete/", {"post": "yes"}).status_code == 403
    assert "delete_selected" not in admins.get("/admin/auth/user/").content.decode()
    role = operator.groups.get()
    for path in (f"{role.pk}/delete/", f"{role.pk}/change/", "add/"):
        assert admins.post(f"/admin/auth/group/{path}", {"name": "king"}).status_code == 403
    assert "deploy" in admins.get("/admin/auth/group/").content.decode()


def test_an_admin_sees_failures_and_ends_lock_outs(admins: Client, user: User, settings: Any) -> None:
    for _ in range(settings.LOGIN_FAILURES):
        sign(Client(), "olga", "wrong")
    assert "olga" in admins.get("/admin/accounts/failedsignins/").content.decode()
    row = FailedSignIns.objects.get(kind="user")
    form = {"action": "unlock", "_selected_action": [row.pk]}
    assert admins.post("/admin/accounts/failedsignins/", form).status_code == 302
    assert is_in(sign(Client(), "olga", PASSWORD))
    assert events("sign_in.unlocked")[0].source == "admin"


# ---------------------------------------------------------------- pages
def test_a_page_that_one_may_not_see_says_so(client: Client) -> None:
    client.force_login(person("nora"))
    for path in ("/", "/line/status", "/inspections/00000000-0000-0000-0000-000000000000/"):
        page = client.get(path)
        assert page.status_code == 403
        text = page.content.decode()
        assert "the right to read" in text
        assert "Ask an administrator" in text
        assert "Sign out" in text


def test_who_may_not_inspect_is_offered_no_form(
    client: Client, auditor: User, signed_in: Client, deployment: Any
) -> None:
    client.force_login(auditor)
    assert 'id="upload"' in signed_in.get("/").content.decode()
    page = client.get("/")
    assert page.status_code == 200
    assert 'id="upload"' not in page.content.decode()
    refused = client.post("/inspect")
    assert refused.status_code == 403
    assert "the right to inspect" in refused.content.decode()
