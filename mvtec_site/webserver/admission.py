"""Who may send a large body: asked when the header is there, before the body is received.

The view asks again, of course; here it is only about not receiving what the view would throw away.
"""

from __future__ import annotations

import hashlib
import threading
import time
from importlib import import_module
from io import BytesIO
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.handlers.wsgi import WSGIRequest
from django.db import DatabaseError, close_old_connections

from accounts.api.token_use import is_refused
from accounts.selectors import valid_token
from common.context import forwarded_address
from common.rights import Right, may, narrow, rights_of
from mvtec_site.webserver import refusals
from mvtec_site.webserver.endpoints import Endpoint
from mvtec_site.webserver.refusals import Refusal

# A station that sends an image a second is looked up once in so many seconds. Who is signed out in between may still
# send a body, which the view refuses then.
_REMEMBER_SECONDS = 10.0
_REMEMBER_MAX = 1000


class Admissions:
    """Remembers for a short time who was found to have which rights. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rights: dict[bytes, tuple[float, frozenset[Right]]] = {}

    def remembered(self, headers: dict[str, str], endpoint: Endpoint) -> bool:
        """True when these credentials were found good for this endpoint lately. Touches no database."""
        entry = self._rights.get(_credentials(headers))
        if entry is None or entry[0] < time.monotonic():
            return False
        return not endpoint.rights or not entry[1].isdisjoint(endpoint.rights)

    def check(self, headers: dict[str, str], endpoint: Endpoint, *, peer: str) -> Refusal | None:
        """None when the sender may; asks the database.

        `peer`: the address of the connection. `headers` as waitress has them: names in capitals with underscores,
        without HTTP_.
        """
        close_old_connections()
        try:
            user = _sender(headers, peer)
            if user is None or not user.is_active:
                return refusals.NOT_SIGNED_IN
            allowed = not endpoint.rights or may(user, *endpoint.rights)
            if not allowed:
                return refusals.NOT_ALLOWED
            self._remember(headers, rights_of(user))
            return None
        except DatabaseError:
            return refusals.UNCHECKED
        finally:
            close_old_connections()

    def _remember(self, headers: dict[str, str], rights: frozenset[Right]) -> None:
        now = time.monotonic()
        with self._lock:
            if len(self._rights) >= _REMEMBER_MAX:
                self._rights = {key: entry for key, entry in self._rights.items() if entry[0] > now}
            if len(self._rights) < _REMEMBER_MAX:
                self._rights[_credentials(headers)] = (now + _REMEMBER_SECONDS, rights)


def _credentials(headers: dict[str, str]) -> bytes:
    credentials = headers.get("AUTHORIZATION", "") + "\0" + headers.get("COOKIE", "")
    return hashlib.sha256(credentials.encode("utf-8", "replace")).digest()


def _sender(headers: dict[str, str], peer: str) -> AbstractBaseUser | None:
    """Whose token or session it is, the user narrowed down to the token's scopes."""
    words = headers.get("AUTHORIZATION", "").split()
    if words and words[0].lower() in ("bearer", "token"):
        token = valid_token(words[1]) if len(words) == 2 else None
        # The view, which counts wrong ones, says why.
        if token is None or is_refused(token, forwarded_address(peer, headers.get("X_FORWARDED_FOR", ""))):
            return None
        narrow(token.user, token.scope_list)
        return token.user
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "wsgi.input": BytesIO(),
        "HTTP_COOKIE": headers.get("COOKIE", ""),
    }
    request = WSGIRequest(environ)
    key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    if not key:
        return None
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    user = get_user(request)
    return user if user.is_authenticated else None
