"""Sign-in by a directory (LDAP). django-auth-ldap, an optional extra, searches and binds; nothing here writes.

Needs `requirements-ldap.txt`, and is imported only where LDAP_URL is set.
"""

from __future__ import annotations

import logging
from typing import Any

import ldap
from django.conf import settings
from django.dispatch import receiver
from django.http import HttpRequest
from django_auth_ldap.backend import LDAPBackend, _LDAPUser, ldap_error
from django_auth_ldap.config import LDAPSearch, LDAPSettings

from accounts.providers.services import Kind, Person, ProviderUnavailable

log = logging.getLogger(__name__)


class _Settings(LDAPSettings):
    """What the library asks for, from our settings."""

    def __init__(self) -> None:
        super().__init__(
            defaults={
                "SERVER_URI": settings.LDAP_URL,
                "START_TLS": settings.LDAP_START_TLS,
                "BIND_DN": settings.LDAP_BIND_DN,
                "BIND_PASSWORD": settings.LDAP_BIND_PASSWORD,
                # The library escapes the user name that goes into the filter.
                "USER_SEARCH": LDAPSearch(
                    settings.LDAP_USER_BASE, ldap.SCOPE_SUBTREE, settings.LDAP_USER_FILTER, ["*", "+"]
                ),
                "PERMIT_EMPTY_PASSWORD": False,  # it would be a bind as nobody, which succeeds
                "CONNECTION_OPTIONS": _connection_options(),
            }
        )


def _connection_options() -> dict[int, Any]:
    options: dict[int, Any] = {
        ldap.OPT_REFERRALS: 0,
        ldap.OPT_NETWORK_TIMEOUT: settings.LDAP_TIMEOUT,
        ldap.OPT_TIMEOUT: settings.LDAP_TIMEOUT,
        ldap.OPT_X_TLS_REQUIRE_CERT: ldap.OPT_X_TLS_DEMAND,
    }
    if settings.LDAP_CA_BUNDLE:
        options[ldap.OPT_X_TLS_CACERTFILE] = settings.LDAP_CA_BUNDLE
    options[ldap.OPT_X_TLS_NEWCTX] = 0  # last: it makes the options above count
    return options


class _Directory(LDAPBackend):
    """The library's, which finds out who somebody is; it makes no users."""

    def __init__(self) -> None:
        self._settings = _Settings()

    def person_of(self, username: str, password: str, request: HttpRequest | None) -> Person | None:
        entry = _LDAPUser(self, username=username, request=request)
        try:
            entry._authenticate_user_dn(password)
        except _LDAPUser.AuthenticationFailed:
            return None
        attributes = entry.attrs

        def first(name: str) -> str:
            values = attributes.get(name) or [""]
            return str(values[0])

        return Person(
            kind=Kind.LDAP,
            issuer=settings.LDAP_URL,
            subject=first(settings.LDAP_ID_ATTRIBUTE) or str(entry.dn).casefold(),
            username=first(settings.LDAP_USERNAME_ATTRIBUTE) or username,
            groups=tuple(_groups(entry)),
            first_name=first("givenName"),
            last_name=first("sn"),
            email=first("mail"),
        )


@receiver(ldap_error, sender=_Directory)
def _raise(exception: Exception, **_: Any) -> None:
    """A directory that fails is not one that knows nobody: the library would say the same of both."""
    raise exception


def _groups(entry: Any) -> list[str]:
    """Names (cn) of the groups that have the person as member, by DN or, in Unix groups, by user name."""
    search = LDAPSearch(
        settings.LDAP_GROUP_BASE or settings.LDAP_USER_BASE,
        ldap.SCOPE_SUBTREE,
        "(|(member=%(dn)s)(uniqueMember=%(dn)s)(memberUid=%(user)s))",
        ["cn"],
    )
    found = search.execute(entry.connection, {"dn": entry.dn, "user": entry._username})
    return [str(name) for _, attributes in found for name in attributes.get("cn", [])]


def person_of(*, username: str, password: str, request: HttpRequest | None) -> Person | None:
    """Whose name and password these are, None where they are nobody's. Raises `ProviderUnavailable`."""
    if not password or not username:
        return None
    try:
        return _Directory().person_of(username, password, request)
    except ldap.LDAPError as error:
        log.warning("The directory at %s does not answer as it should: %s", settings.LDAP_URL, error)
        raise ProviderUnavailable(
            f"{settings.LDAP_NAME} does not answer, so nobody can be looked up there. You were not signed in. Local "
            "accounts can sign in; try again later with yours."
        ) from error
