"""What using a token leaves behind: when it was used last, from where, and how many wrong ones an address sent.

All of it is kept in the broker and nothing is written to the database on the way of a request, so that reading goes on
while the database is locked. The sweep writes down what was used when. Without a broker nothing is counted or noted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import redis
from django.conf import settings
from django.db import transaction
from django.db.models import Q

from accounts.models import ApiToken
from accounts.selectors import valid_token
from common.errors import UserError
from jobs import broker
from jobs.metrics.definitions import LOCK_OUTS
from records.audit.services import audit

T = TypeVar("T")
log = logging.getLogger(__name__)

_USED = "tokens-used"  # a hash: id of the token to the second of its last use
_NOTE_SECONDS = 60.0  # a use is noted once in so long by each process
_KNOWN_SECONDS = 7 * 86_400  # so long an address counts as one that a token comes from
_MAX_NOTED = 10_000

# After a broker that did not answer, this process goes on without for so long before it asks again.
_RETRY_SECONDS = 5.0
_WARN_SECONDS = 60.0


class WrongToken(UserError):
    code = "not_authenticated"
    status = 401  # type: ignore[assignment]


class TooManyWrongTokens(UserError):
    code = "too_many_wrong_tokens"
    status = 429  # type: ignore[assignment]


class Broker:
    """The broker, asked by whoever can do without an answer."""

    def __init__(self) -> None:
        self._retry_at = 0.0
        self._next_warning_at = 0.0

    def ask(self, question: Callable[[redis.Redis], T]) -> T | None:
        """None where it does not answer, or did not a moment ago."""
        if time.monotonic() < self._retry_at:
            return None
        try:
            return question(broker.quick_client())
        except redis.RedisError as error:
            self._retry_at = time.monotonic() + _RETRY_SECONDS
            if time.monotonic() >= self._next_warning_at:
                self._next_warning_at = time.monotonic() + _WARN_SECONDS
                log.warning(
                    "Requests are not counted, no request is throttled: the broker does not answer (%s).", error
                )
            return None

    def forget(self) -> None:
        """Ask again at once."""
        self._retry_at = self._next_warning_at = 0.0


COUNTER = Broker()
_lock = threading.Lock()
_noted: dict[tuple[int, str], float] = {}  # token and address to when it is noted again


def forget_noted() -> None:
    with _lock:
        _noted.clear()


def token_of(*, secret: str, address: str) -> ApiToken:
    """The token of this key, whose use is noted. Raises `WrongToken`, and `TooManyWrongTokens`.

    An address that sent `TOKEN_FAILURES` wrong tokens within `LOGIN_WINDOW` is told so, and a right one is refused
    there too, so that guessing gains nothing: unless this token was in use from this address before. The stations of a
    plant behind one proxy go on, whatever one of them sends.
    """
    token = valid_token(secret)
    if is_refused(token, address):
        raise TooManyWrongTokens(
            f"Too many wrong tokens came from {address or 'this address'}. Nothing was done. Tokens that were in use "
            f"from it before go on; others are refused for up to {settings.LOGIN_WINDOW:g} minutes. Find the program "
            "that sends a wrong token, then try again.",
        )
    if token is None:
        _count_wrong(address)
        raise WrongToken(
            "This token is unknown, revoked or expired. Nothing was done. Compare it with the issued one: the Settings "
            "page lists valid tokens by their first characters. Create a new one there or with manage.py create_token."
        )
    if not _is_noted(token, address):
        _note(token, address)
    return token


def is_refused(token: ApiToken | None, address: str) -> bool:
    """Whether too many wrong tokens came from the address, and this one (None: a wrong one) was not in use there."""
    if token is not None and _is_noted(token, address):
        return False
    found = COUNTER.ask(lambda client: _failures(client, token, address))
    return found is not None and found[0] >= settings.TOKEN_FAILURES and not found[1]


def _failures(client: Any, token: ApiToken | None, address: str) -> tuple[int, bool]:
    """How many wrong tokens came from the address lately, and whether this one was in use from there."""
    pipeline = client.pipeline(transaction=False)
    pipeline.get(f"tokens-wrong:{address}")
    pipeline.exists(f"token-known:{token.pk if token else 0}:{address}")
    count, is_known = pipeline.execute()
    return int(count or 0), bool(is_known)


def _count_wrong(address: str) -> None:
    def count(client: Any) -> int:
        key = f"tokens-wrong:{address}"
        pipeline = client.pipeline(transaction=True)
        pipeline.set(key, 0, nx=True, ex=max(1, round(settings.LOGIN_WINDOW * 60)))
        pipeline.incr(key)
        return int(pipeline.execute()[1])

    # Reported once in a window: from here on the address is refused and nothing is counted.
    if COUNTER.ask(count) == settings.TOKEN_FAILURES:
        LOCK_OUTS.labels("token").inc()
        with transaction.atomic():
            audit(
                kind="token.guessing",
                subject=("address", address[:64]),
                actor=None,
                after={"address": address, "failures": settings.TOKEN_FAILURES, "minutes": settings.LOGIN_WINDOW},
            )


def _is_noted(token: ApiToken, address: str) -> bool:
    return _noted.get((token.pk, address), 0.0) > time.monotonic()


def _note(token: ApiToken, address: str) -> None:
    def note(client: Any) -> bool:
        pipeline = client.pipeline(transaction=False)
        pipeline.hset(_USED, str(token.pk), int(time.time()))
        pipeline.set(f"token-known:{token.pk}:{address}", 1, ex=_KNOWN_SECONDS)
        pipeline.execute()
        return True

    if COUNTER.ask(note):
        with _lock:
            if len(_noted) >= _MAX_NOTED:
                _noted.clear()
            _noted[token.pk, address] = time.monotonic() + _NOTE_SECONDS


def write_down_uses() -> int:
    """What was noted since the last time goes into the rows; how many. Without a broker none, and nothing is lost.

    Called by the sweep. What is noted between reading and forgetting is noted again a minute later.
    """
    used: Any = COUNTER.ask(lambda client: client.hgetall(_USED))
    if not used:
        return 0
    written = 0
    for token_id, second in used.items():
        moment = datetime.fromtimestamp(int(second), UTC)
        older = Q(last_used_at=None) | Q(last_used_at__lt=moment)
        written += ApiToken.objects.filter(older, pk=int(token_id)).update(last_used_at=moment)
    COUNTER.ask(lambda client: client.hdel(_USED, *used))
    return written
