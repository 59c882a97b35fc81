"""How many requests a minute a caller may make: counted in the broker, for all web processes together."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts.api.token_use import COUNTER
from accounts.models import ApiToken
from common.context import current
from common.rights import SCOPES, Right, Scope, may

_WINDOW = 60
_ANONYMOUS = "anonymous"


class RequestsPerMinute(BaseThrottle):
    """A fixed window of a minute for each caller and kind of request. Without a broker nobody is held up."""

    def allow_request(self, request: Request, view: Any) -> bool:
        """Raises `Throttled`, which says what the limit is and when the next minute begins."""
        kind = kind_of(request, view)
        limit = settings.THROTTLES[kind]
        if not limit or self._count(f"{kind}:{caller(request)}") <= limit:
            return True
        raise Throttled(
            wait=_WINDOW - time.time() % _WINDOW,
            detail=f"More than {limit} requests in this minute ({kind}). This request was not processed.",
        )

    def _count(self, name: str) -> int:
        """Which request of this minute this is; 0 when nobody counts."""
        key = f"throttle:{name}:{int(time.time() // _WINDOW)}"

        def count(client: Any) -> int:
            pipeline = client.pipeline(transaction=False)
            pipeline.incr(key)
            pipeline.expire(key, 2 * _WINDOW)
            return int(pipeline.execute()[0])

        return COUNTER.ask(count) or 0


def caller(request: Request) -> str:
    """A token, a user, or an address: stations that share a user have limits of their own with tokens of their own.

    Tokens that a token issued share its limit with it: none makes itself a fresh one.
    """
    if isinstance(request.auth, ApiToken):
        return f"token-{request.auth.issued_through_id or request.auth.pk}"
    if request.user and request.user.is_authenticated:
        return f"user-{request.user.pk}"
    return current().address or "unknown"


def kind_of(request: Request, view: Any) -> str:
    """The scope that has the right which the request needs; of several rights the first that the caller has."""
    if not (request.user and request.user.is_authenticated):
        return _ANONYMOUS
    method = "GET" if request.method in ("HEAD", "OPTIONS") else request.method
    needed = getattr(view, "rights", {}).get(method, Right.READ)
    any_of = needed if isinstance(needed, tuple) else (needed,)
    right = next((right for right in any_of if may(request.user, right)), any_of[0])
    return next(scope for scope in Scope if right in SCOPES[scope])
