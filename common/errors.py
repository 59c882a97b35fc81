"""Errors that a person can do something about.

One family for the whole product: a service raises a `UserError`, the API turns it into an RFC 9457 problem
document, a management command into a sentence on stderr and exit code 1, a page into a message. Anything else
that is raised is a defect of ours and is reported as such.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from common.paths import without_server_paths

RETRY_SECONDS = 1  # where a part of the system does not answer: it is started again at once


class UserError(Exception):
    """What happened, what was kept, and what to do next, in one or two sentences.

    `code` is stable and documented (clients switch on it), `status` is the HTTP status the API answers with,
    `extra` holds machine-readable members that are added to the problem document. `detail` names no folder of this
    server; what a person at its command line reads (`str`) does. `retry_after`: seconds after which it is worth
    another try, where time alone helps. `is_translated`: `detail` is in the language of whoever asked.
    """

    code = "bad_request"
    status = HTTPStatus.BAD_REQUEST
    retry_after: int | None = None
    is_translated = False

    def __init__(self, detail: str, *, code: str | None = None, status: HTTPStatus | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = without_server_paths(detail)
        self.code = code or self.code
        self.status = status or self.status
        self.extra = extra


class NotFilledIn(UserError):
    """Something in a form is missing or wrong, in the words of the page."""

    is_translated = True


class NotFound(UserError):
    code = "not_found"
    status = HTTPStatus.NOT_FOUND


class Conflict(UserError):
    code = "conflict"
    status = HTTPStatus.CONFLICT


class Unavailable(UserError):
    """A part of the system that the request needs does not answer (worker, broker, storage)."""

    code = "unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    retry_after = RETRY_SECONDS
