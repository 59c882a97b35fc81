"""Sign-in by OpenID Connect with a real provider on loopback: who comes in, who does not, and what is written down."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import oidc_provider_mock
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from accounts.models import ExternalIdentity
from accounts.providers import oidc
from accounts.providers.services import link_identity
from accounts.services import create_user, deactivate_user, issue_token
from modelzoo.signatures.selectors import obstacle_to_sign
from records.models import AuditEvent

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite_is_enough]

OLGA = {
    "preferred_username": "olga.meier",
    "given_name": "Olga",
    "family_name": "Meier",
    "email": "olga@plant.example",
    "email_verified": True,
    "groups": ["Plant-QA", "everybody"],
}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with oidc_provider_mock.run_server_in_thread() as running:
        yield f"http://localhost:{running.server_port}"


@pytest.fixture
def provider(server: str, settings: Any) -> Iterator[str]:
    settings.OIDC_ISSUER = server
    settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = "inspection", "secret"
    settings.OIDC_NAME, settings.OIDC_TIMEOUT = "Plant ID", 60.0
    settings.OIDC_ROLES = {"plant-qa": "engineer", "plant-it": "admin"}
    oidc.forget_discovery()
    yield server
    oidc.forget_discovery()


def claims(provider: str, subject: str = "u-1", **more: Any) -> None:
    kept = {name: value for name, value in (OLGA | more).items() if value is not None}
    httpx.put(f"{provider}/users/{subject}", json=kept, timeout=60).raise_for_status()


def go(client: Client, subject: str = "u-1", following: str = "") -> Any:
    """Through the provider and back, as a browser does; the answer of the callback."""
    begin = client.get("/login/oidc/", {"next": following} if following else {})
    assert begin.status_code == 302, begin.content.decode()
    back = httpx.post(begin["Location"], data={"sub": subject}, timeout=60)
    assert back.status_code == 302, back.text
    return client.get("/login/oidc/callback?" + urlsplit(back.headers["Location"]).query)


def events(kind: str) -> list[dict[str, Any]]:
    return [json.loads(event.after) for event in AuditEvent.objects.filter(kind=kind).order_by("sequence")]


def test_it_is_off_by_default(client: Client) -> None:
    assert client.get("/login/oidc/").status_code == 404
    assert client.get("/login/oidc/callback").status_code == 404
    assert "Sign in with" not in client.get("/login/").content.decode()


def test_a_person_comes_in_with_the_roles_of_their_groups(provider: str, client: Client) -> None:
    claims(provider)
    assert "Sign in with Plant ID" in client.get("/login/").content.decode()
    begin = client.get("/login/oidc/")
    sent = parse_qs(urlsplit(begin["Location"]).query)
    assert sent["code_challenge_method"] == ["S256"]
    assert all(sent[name] for name in ("state", "nonce", "code_challenge"))
    answer = go(client, following="/history/")
    assert (answer.status_code, answer["Location"]) == (302, "/history/")
    user = User.objects.get(username="olga.meier")
    assert (user.get_full_name(), user.email) == ("Olga Meier", "olga@plant.example")
    assert [group.name for group in user.groups.all()] == ["engineer"]
    assert not user.has_usable_password()
    assert client.get("/session").json()["user"] == "olga.meier"
    assert client.session.get_expiry_date() <= timezone.now() + timedelta(minutes=60)
    assert events("sign_in.succeeded")[0]["provider"] == "Plant ID"
    assert [event["reason"] for event in events("user.changed")] == ["groups of Plant ID"]
    assert "no password" in obstacle_to_sign(user), "a signature needs a password of this installation"
    _, key = issue_token(user=user, name="camera", actor=user)
    assert Client().get("/api/me", headers={"Authorization": f"Bearer {key}"}).status_code == 200


def test_an_address_of_another_site_is_not_gone_to(provider: str, client: Client) -> None:
    claims(provider)
    assert go(client, following="https://evil.example/")["Location"] == "/"


def test_roles_follow_the_groups_and_without_one_nobody_comes_in(provider: str, client: Client) -> None:
    claims(provider)
    go(client)
    claims(provider, groups=["plant-it"])
    assert go(Client())["Location"] == "/"
    user = User.objects.get(username="olga.meier")
    create_user(username="second", password="correct horse battery", roles=["admin"], actor=None)
    assert [group.name for group in user.groups.all()] == ["admin"]
    claims(provider, groups=["everybody"])
    answer = go(Client())
    assert answer.status_code == 403
    assert "none of your groups there has a role here" in answer.content.decode()
    assert not user.groups.exists()
    assert events("sign_in.refused")[-1]["subject"] == "u-1"
    claims(provider, "u-2", preferred_username="somebody", groups=[])
    assert go(Client(), "u-2").status_code == 403
    assert not User.objects.filter(username="somebody").exists()


def test_the_last_administrator_stays_one(provider: str, client: Client) -> None:
    claims(provider, groups=["plant-it"])
    go(client)
    claims(provider, groups=["plant-qa"])
    answer = go(Client())
    assert answer.status_code == 403
    assert "you are the last one" in answer.content.decode()
    assert [group.name for group in User.objects.get(username="olga.meier").groups.all()] == ["admin"]


def test_a_local_account_of_the_same_name_or_address_is_never_taken_over(provider: str, client: Client) -> None:
    local = create_user(
        username="Olga.Meier", password="correct horse battery", roles=["admin"], actor=None, email="olga@plant.example"
    )
    claims(provider)
    answer = go(client)
    assert answer.status_code == 403
    assert "does not belong to your sign-in" in answer.content.decode()
    assert "user" not in client.session
    claims(provider, preferred_username="another")
    go(client)
    assert User.objects.count() == 2, "an equal e-mail address links nobody"
    ExternalIdentity.objects.all().delete()
    link_identity(user=local, kind="oidc", issuer=provider, subject="u-1", actor=None)
    create_user(username="second", password="correct horse battery", roles=["admin"], actor=None)
    go(Client())
    assert events("sign_in.succeeded")[-1]["provider"] == "Plant ID"
    assert ExternalIdentity.objects.get().user == local


def test_a_deactivated_person_stays_out(provider: str, client: Client) -> None:
    claims(provider)
    go(client)
    user = User.objects.get(username="olga.meier")
    deactivate_user(user=user, reason="left", actor=None)
    answer = go(Client())
    assert answer.status_code == 403
    assert "deactivated" in answer.content.decode()
    assert "deactivated" in events("sign_in.refused")[-1]["cause"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"preferred_username": None}, "does not tell your user name"),
        ({"preferred_username": "has blanks; and signs"}, "that no account can have"),
        ({"groups": None}, "none of your groups"),
        ({"groups": {"plant-qa": 1}}, "none of your groups"),
    ],
)
def test_claims_that_are_missing_or_garbage_are_refused(
    provider: str, client: Client, more: dict[str, Any], words: str
) -> None:
    claims(provider, **more)
    answer = go(client)
    assert answer.status_code == 403
    assert words in answer.content.decode()
    assert not User.objects.exists()


@pytest.mark.parametrize("verified", [False, None, "true"])
def test_an_address_that_was_not_verified_is_not_kept(provider: str, client: Client, verified: Any) -> None:
    claims(provider, email_verified=verified)
    go(client)
    assert User.objects.get().email == ""


# ---------------------------------------------------------------- tokens that do not fit
@pytest.mark.parametrize(
    ("change", "is_accepted"),
    [
        ({"aud": "another program"}, False),
        ({"aud": ["inspection", "another"]}, False),
        ({"iss": "http://localhost:1"}, False),
        ({"nonce": "another"}, False),
        ({"exp": -3600}, False),
        ({"exp": -30, "iat": -90}, True),
        ({"iat": 30}, True),
        ({"iat": 3600}, False),
        ({"sub": "u-2"}, False),
        ({}, True),
    ],
)
def test_a_token_that_does_not_fit_is_refused(
    provider: str, client: Client, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], is_accepted: bool
) -> None:
    """The provider's own token, changed and signed anew with a key that its key set has."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    claims(provider)
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    get_token = oidc.ProviderClient.get_token

    def changed(self: Any, payload: dict[str, Any]) -> dict[str, Any]:
        token = get_token(self, payload)
        told = jwt.decode(token["id_token"], options={"verify_signature": False})
        for name, value in change.items():
            told[name] = int(time.time()) + value if isinstance(value, int) else value
        return token | {"id_token": jwt.encode(told, private, algorithm="RS256")}

    monkeypatch.setattr(oidc.ProviderClient, "get_token", changed)
    monkeypatch.setattr(oidc.ProviderClient, "retrieve_matching_jwk", lambda self, token: private.public_key())
    answer = go(client)
    assert (answer.status_code == 302) is is_accepted, answer.content.decode()
    assert User.objects.exists() is is_accepted
    assert len(events("sign_in.refused")) == (0 if is_accepted else 1)


def test_a_token_signed_with_another_key_is_refused(
    provider: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    claims(provider)
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    monkeypatch.setattr(oidc.ProviderClient, "retrieve_matching_jwk", lambda self, token: other.public_key())
    assert go(client).status_code == 403


def test_a_state_is_good_once_and_in_one_browser(provider: str, client: Client) -> None:
    claims(provider)
    begin = client.get("/login/oidc/")
    back = httpx.post(begin["Location"], data={"sub": "u-1"}, timeout=60)
    address = "/login/oidc/callback?" + urlsplit(back.headers["Location"]).query
    assert Client().get(address).status_code == 400, "somebody else's browser"
    assert client.get(address).status_code == 302
    assert client.get(address).status_code == 400, "again"
    assert client.get("/login/oidc/callback?state=&code=x").status_code == 400
    assert client.get("/login/oidc/callback").status_code == 400


def test_who_declines_at_the_provider_is_told(provider: str, client: Client) -> None:
    begin = client.get("/login/oidc/")
    state = parse_qs(urlsplit(begin["Location"]).query)["state"][0]
    answer = client.get("/login/oidc/callback", {"state": state, "error": "access_denied<script>"})
    assert answer.status_code == 403
    assert "access_denied" in answer.content.decode()
    assert "<script>" not in answer.content.decode().split("alert")[1].split("</div>")[0]


# ---------------------------------------------------------------- a provider that is away or slow
def test_local_accounts_come_in_while_the_provider_is_down(provider: str, client: Client, settings: Any) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        settings.OIDC_ISSUER = f"http://127.0.0.1:{unused.getsockname()[1]}"
    answer = client.get("/login/oidc/")
    assert answer.status_code == 503
    assert "does not answer" in answer.content.decode()
    create_user(username="local", password="correct horse battery", roles=["operator"], actor=None)
    signed_in = client.post("/login/", {"username": "local", "password": "correct horse battery"})
    assert signed_in.status_code == 302


def test_a_provider_that_says_nothing_is_not_waited_for(provider: str, client: Client, settings: Any) -> None:
    settings.OIDC_TIMEOUT = 0.2
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.OIDC_ISSUER = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert client.get("/login/oidc/").status_code == 503


def test_a_provider_that_calls_itself_by_another_name_is_refused(provider: str, client: Client, settings: Any) -> None:
    settings.OIDC_ISSUER = provider.replace("localhost", "127.0.0.1") + "/"
    assert client.get("/login/oidc/").status_code == 503


def test_link_identity_says_what_it_did(provider: str, capsys: pytest.CaptureFixture[str]) -> None:
    from django.core.management import call_command

    create_user(username="local", password="correct horse battery", roles=["operator"], actor=None)
    call_command("link_identity", "local", "u-9")
    assert ExternalIdentity.objects.get().subject == "u-9"
    assert events("user.linked")[0]["issuer"] == provider
