"""Requests whose body is not read: why, in the words of a problem document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

# Where the WSGI environment carries the `Refusal` of a request whose body was not received.
ENVIRON_KEY = "mvtec.refusal"


@dataclass(frozen=True)
class Refusal:
    status: int
    code: str
    detail: str
    retry_after: int | None = None  # seconds

    @property
    def is_for_the_view(self) -> bool:
        """Who may not send a body gets the answer that the view has for them: 401, a redirect to the sign-in, 403."""
        return self.status in (401, 403)


def too_large(limit: int) -> Refusal:
    return Refusal(
        413,
        "request_too_large",
        f"This address takes at most {limit:,} bytes. Nothing of the request was read or kept; send less.",
    )


def busy(seconds: float) -> Refusal:
    return Refusal(
        503,
        "busy",
        f"The server was busy for {seconds:g} seconds. The request was not processed and nothing was kept. Try again.",
        retry_after=10,
    )


def too_many_connections(limit: int) -> Refusal:
    return Refusal(
        429,
        "too_many_connections",
        f"More than {limit} requests from one address at once. This one was not processed. Wait for the others.",
        retry_after=5,
    )


UPLOADS_FULL = Refusal(
    503,
    "too_many_uploads",
    "The space for uploads is full (WEB_SPOOL_BYTES). Nothing was kept; try again later.",
    retry_after=30,
)
DISK_FULL = Refusal(
    507, "storage_failed", "The body could not be stored: the disk is full or cannot be written. Nothing was kept."
)
BODY_TIMED_OUT = Refusal(
    408, "request_timeout", "The body did not arrive in time. Nothing was kept; send the whole request again."
)
NOT_SIGNED_IN = Refusal(401, "not_authenticated", "Sign in, or send a valid token, before sending this much.")
NOT_ALLOWED = Refusal(403, "permission_denied", "Your role or your token's scopes do not allow this upload.")
UNCHECKED = Refusal(
    503,
    "database_unavailable",
    "Whether you may send this could not be looked up: the database does not answer. Nothing was kept; try again.",
    retry_after=5,
)
LENGTH_REQUIRED = Refusal(
    411,
    "length_required",
    "The body came without a Content-Length that this server could read it by. Nothing was read or kept; send "
    "the length, or let the administrator of the proxy pass chunked bodies completely (docs/operations.md).",
)
LENGTH_UNREADABLE = Refusal(
    400, "invalid_length", "Content-Length is not a whole number of bytes. Nothing was read or kept."
)
ENCODING_UNSUPPORTED = Refusal(
    415,
    "unsupported_content_encoding",
    "The body is compressed (Content-Encoding), which is not read. Nothing was kept; send it as it is.",
)
BODY_INCOMPLETE = Refusal(
    400, "incomplete_body", "The connection ended before the whole body was there. Nothing was kept; send it again."
)


class UnreceivedBody:
    """`wsgi.input` of a refused request. Whoever reads it gets an error, never an empty body."""

    def __init__(self, refusal: Refusal) -> None:
        self._refusal = refusal

    def _fail(self, *_: Any) -> NoReturn:
        raise OSError(self._refusal.detail)

    read = readline = readlines = __iter__ = _fail
