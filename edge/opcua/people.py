"""Who may speak to the OPC UA server: clients whose certificate is trusted, and users with a token of this product."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from asyncua.crypto.permission_rules import SimpleRoleRuleset, User, UserRole
from asyncua.server.user_managers import UserManager
from cryptography import x509
from django.db import connection as database

from accounts.models import ApiToken
from accounts.selectors import valid_token
from common.rights import Right, may, narrow
from edge.opcua.certificates import is_trusted


@dataclass
class SignedIn(User):
    """A client's user as long as its session lasts. Anonymous ones have no token, and only look."""

    token_id: int | None = None
    may_inspect: bool = False


_calling: ContextVar[SignedIn | None] = ContextVar("opcua_calling", default=None)


def caller() -> SignedIn | None:
    """Whose request is being answered."""
    return _calling.get()


class Rules(SimpleRoleRuleset):
    """asyncua's own, and a method is told who calls it."""

    def check_validity(self, user: User, action_type: Any, body: Any) -> bool:
        _calling.set(user if isinstance(user, SignedIn) else None)
        return bool(super().check_validity(user, action_type, body))


class People(UserManager):
    """asyncua asks it for the user of each session that is activated."""

    def __init__(self, *, is_secured: bool, is_anonymous_allowed: bool) -> None:
        self._is_secured, self._is_anonymous_allowed = is_secured, is_anonymous_allowed
        # The database cannot be asked in the thread of the event loop.
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="opcua-sign-in")

    def get_user(
        self, iserver: Any, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        """None turns the client away. `certificate`: that of the channel, whatever the client says of itself."""
        if self._is_secured and not (certificate and is_trusted(x509.load_der_x509_certificate(certificate))):
            return None
        if username is None:
            return SignedIn(UserRole.User, "") if self._is_anonymous_allowed else None
        return self._worker.submit(_sign_in, username, password or "").result()

    def close(self) -> None:
        self._worker.submit(database.close)
        self._worker.shutdown()


def _sign_in(username: str, secret: str) -> SignedIn | None:
    token = valid_token(secret)
    if token is None or token.user.username != username:
        return None
    narrow(token.user, token.scope_list)
    if not may(token.user, Right.READ, Right.INSPECT):
        return None
    return SignedIn(UserRole.User, username, token_id=token.pk, may_inspect=may(token.user, Right.INSPECT))


def is_still_valid(user: SignedIn) -> bool:
    """Whether the token that was shown holds on. Not for the thread of the event loop."""
    if user.token_id is None:
        return True
    token = ApiToken.objects.select_related("user").filter(pk=user.token_id).first()
    return token is not None and token.is_valid and token.user.is_active
