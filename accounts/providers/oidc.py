"""Sign-in by OpenID Connect: discovery, the code flow with PKCE, state and nonce, and what a token must say.

The library (mozilla-django-oidc) speaks to the provider and verifies signature and nonce; issuer, audience, times and
subject are verified here. Nothing here writes: `accounts.providers.services` does.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, fields
from typing import Any

import jwt
import requests
from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest
from mozilla_django_oidc.auth import OIDCAuthenticationBackend

from accounts.providers.services import Kind, Person, ProviderUnavailable, SignInRefused

_DISCOVERED_SECONDS = 3600.0


@dataclass(frozen=True)
class Discovery:
    """What the provider says of itself."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str


_lock = threading.Lock()
_discovered: dict[str, tuple[float, Discovery]] = {}


def forget_discovery() -> None:
    with _lock:
        _discovered.clear()


def unavailable(error: object) -> ProviderUnavailable:
    return ProviderUnavailable(
        f"{settings.OIDC_NAME} does not answer as it should ({error}). You were not signed in. Try again, or sign in "
        "with a local account."
    )


def discovery() -> Discovery:
    """Asked once an hour. Raises `ProviderUnavailable`."""
    issuer = settings.OIDC_ISSUER
    known = _discovered.get(issuer)
    if known and known[0] > time.monotonic():
        return known[1]
    try:
        answer = requests.get(
            f"{issuer.rstrip('/')}/.well-known/openid-configuration",
            timeout=settings.OIDC_TIMEOUT,
            allow_redirects=False,
        )
        answer.raise_for_status()
        document = answer.json()
        if not isinstance(document, dict) or document.get("issuer") != issuer:
            raise unavailable("it calls itself by another name than OIDC_ISSUER")
        found = Discovery(**{each.name: _address(document, each.name) for each in fields(Discovery)})
    except (requests.RequestException, ValueError) as error:
        raise unavailable(type(error).__name__) from error
    with _lock:
        _discovered[issuer] = (time.monotonic() + _DISCOVERED_SECONDS, found)
    return found


def _address(document: dict[str, Any], name: str) -> str:
    address = document.get(name)
    secure = isinstance(address, str) and (
        address.startswith("https://") or (settings.OIDC_ISSUER.startswith("http://") and address.startswith("http://"))
    )
    if not secure:
        raise unavailable(f"{name} is no https address")
    return str(address)


_DISCOVERED = {
    "OIDC_OP_AUTHORIZATION_ENDPOINT": "authorization_endpoint",
    "OIDC_OP_TOKEN_ENDPOINT": "token_endpoint",
    "OIDC_OP_USER_ENDPOINT": "userinfo_endpoint",
    "OIDC_OP_JWKS_ENDPOINT": "jwks_uri",
}
_OURS = {
    "OIDC_RP_CLIENT_ID": "OIDC_CLIENT_ID",
    "OIDC_RP_CLIENT_SECRET": "OIDC_CLIENT_SECRET",
    "OIDC_RP_SIGN_ALGO": "OIDC_SIGN_ALGORITHM",
    "OIDC_RP_SCOPES": "OIDC_SCOPES",
}
_FIXED = {
    "OIDC_USE_PKCE": True,
    "OIDC_USE_NONCE": True,
    "OIDC_ALLOW_UNSECURED_JWT": False,
    "OIDC_VERIFY_SSL": True,
    "OIDC_AUTHENTICATION_CALLBACK_URL": "oidc-callback",
}


def provider_setting(name: str, *default: Any) -> Any:
    """What the library asks for, from discovery and from our settings."""
    if name in _DISCOVERED:
        return getattr(discovery(), _DISCOVERED[name])
    if name in _OURS:
        return getattr(settings, _OURS[name])
    return _FIXED.get(name, getattr(settings, name, *default) if default else getattr(settings, name, None))


class ProviderClient(OIDCAuthenticationBackend):
    """The library's, which finds out who somebody is. It is no backend of Django's: whom it names is signed in as
    everybody else."""

    get_settings = staticmethod(provider_setting)

    def person_of(self, request: HttpRequest, *, nonce: str, code_verifier: str | None) -> Person:
        """Exchange the code of a callback. Raises `ProviderUnavailable` and `SignInRefused`."""
        try:
            person = self.authenticate(request, nonce=nonce, code_verifier=code_verifier)
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            raise unavailable(f"status {status}") from error
        except requests.RequestException as error:
            raise unavailable(type(error).__name__) from error
        except (SuspiciousOperation, jwt.PyJWTError, ValueError, KeyError, TypeError) as error:
            raise SignInRefused(
                f"What {settings.OIDC_NAME} sent cannot be trusted ({error}). You were not signed in. Try again; if it "
                "happens again, tell an administrator."
            ) from error
        if not isinstance(person, Person):
            raise SignInRefused(f"{settings.OIDC_NAME} sent no code. You were not signed in. Try again.")
        return person

    def retrieve_matching_jwk(self, token: str) -> Any:
        """As the library's; a provider with one key need not name it in its tokens."""
        if "kid" in jwt.get_unverified_header(token):
            return super().retrieve_matching_jwk(token)
        answer = requests.get(discovery().jwks_uri, timeout=settings.OIDC_TIMEOUT)
        answer.raise_for_status()
        keys = answer.json()["keys"]
        if len(keys) != 1:
            raise SuspiciousOperation("it does not say which of the provider's keys signed it")
        return jwt.PyJWK(keys[0])

    def _verify_jws(self, payload: str, key: Any) -> dict[str, Any]:
        """Signature, issuer, audience and times, within OIDC_CLOCK_SKEW."""
        if jwt.get_unverified_header(payload).get("alg") != settings.OIDC_SIGN_ALGORITHM:
            raise SuspiciousOperation("it is signed in another way than OIDC_SIGN_ALGORITHM says")
        claims: dict[str, Any] = jwt.decode(
            payload,
            key,
            algorithms=[settings.OIDC_SIGN_ALGORITHM],
            audience=settings.OIDC_CLIENT_ID,
            issuer=settings.OIDC_ISSUER,
            leeway=settings.OIDC_CLOCK_SKEW,
            options={"require": ["exp", "iat", "iss", "aud", "sub"]},
        )
        audience = claims["aud"]
        if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != settings.OIDC_CLIENT_ID:
            raise SuspiciousOperation("it was issued to another program")
        return claims

    def get_or_create_user(self, access_token: str, id_token: str, payload: dict[str, Any]) -> Person:
        """Who it is. What the token does not say, such as groups, is asked of the provider."""
        told = self.get_userinfo(access_token, id_token, payload)
        if not isinstance(told, dict) or told.get("sub") != payload["sub"]:
            raise SignInRefused(
                f"{settings.OIDC_NAME} tells of two different people. You were not signed in. Tell an administrator."
            )
        return person_from(told | payload)


def person_from(claims: dict[str, Any]) -> Person:
    """Raises `SignInRefused` where a claim is missing that nobody can do without."""
    username = claims.get(settings.OIDC_USERNAME_CLAIM)
    if not isinstance(username, str) or not username.strip():
        raise SignInRefused(
            f"{settings.OIDC_NAME} does not tell your user name (the claim {settings.OIDC_USERNAME_CLAIM}). You were "
            "not signed in. Ask an administrator to have it sent, or to set OIDC_USERNAME_CLAIM."
        )
    groups = claims.get(settings.OIDC_GROUPS_CLAIM, [])
    groups = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []

    def text(name: str) -> str:
        value = claims.get(name)
        return value.strip() if isinstance(value, str) else ""

    return Person(
        kind=Kind.OIDC,
        issuer=settings.OIDC_ISSUER,
        subject=str(claims["sub"]),
        username=username.strip(),
        groups=tuple(group for group in groups if isinstance(group, str)),
        first_name=text("given_name"),
        last_name=text("family_name"),
        email=text("email") if claims.get("email_verified") is True else "",
    )
