"""RFC 9457 problem documents: every error of the API has one shape and a stable `code`."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import (
    DisallowedHost,
    PermissionDenied,
    RequestDataTooBig,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions
from rest_framework.permissions import SAFE_METHODS
from rest_framework.response import Response

from common.database import UNAVAILABLE
from common.errors import RETRY_SECONDS, UserError
from common.files import is_disk_full

log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
_NON_FIELD_ERRORS = "non_field_errors"


def document(status: int, code: str, detail: str, **extra: Any) -> dict[str, Any]:
    """The members of a problem document; `type` is a relative reference into the documentation."""
    return {
        "type": f"/docs/problems#{code}",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "code": code,
        "detail": detail,
        **extra,
    }


def database_failed(*, changed_nothing: bool) -> tuple[int, str, str]:
    """Status, code and sentence. Whoever does not know what was committed does not claim that nothing was."""
    if changed_nothing:
        return 503, "database_unavailable", "The database does not answer. Nothing was changed. Try again."
    return (
        503,
        "outcome_unknown",
        "The database does not answer. The request may have been carried out anyway. Check before you send it "
        "again, or repeat it with the same Idempotency-Key if you sent one.",
    )


def disk_full(*, changed_nothing: bool) -> tuple[int, str, str]:
    """As `database_failed`, of a disk without room."""
    kept = "Nothing was changed." if changed_nothing else "What was saved before is safe; check what this request did."
    return 507, "storage_failed", f"The server's disk is full. {kept} Free space in VAR_DIR, then try again."


def describe(error: Exception, *, changed_nothing: bool = False) -> tuple[int, str, str, dict[str, Any]] | None:
    """Status, code, sentence and extra members of an error we know; None for a defect of ours.

    `changed_nothing`: no work on the request had begun, or it was one that only reads.
    """
    if isinstance(error, UserError):
        return error.status, error.code, error.detail, error.extra
    if isinstance(error, TooManyFilesSent):
        return 413, "too_many_files", "More files than one request may carry. Nothing was kept. Send a zip.", {}
    if isinstance(error, TooManyFieldsSent):
        return 413, "request_too_large", "This request has more fields than is allowed. Nothing was done.", {}
    if isinstance(error, DisallowedHost):
        return 400, "host_not_allowed", _host_sentence(error), {}
    if isinstance(error, RequestDataTooBig):
        return 413, "request_too_large", "The fields of this request are larger than is allowed.", {}
    if isinstance(error, Http404):
        return 404, "not_found", "There is nothing at this address.", {}
    if isinstance(error, PermissionDenied):
        return 403, "permission_denied", "You may not do this.", {}
    if is_disk_full(error):
        log.exception("The disk is full.")
        return *disk_full(changed_nothing=changed_nothing), {}
    if isinstance(error, UNAVAILABLE):
        log.exception("The database failed.")
        return *database_failed(changed_nothing=changed_nothing), {}
    if isinstance(error, exceptions.ValidationError):
        return 400, "invalid", _first_sentence(error.detail), {"errors": error.detail}
    if isinstance(error, exceptions.APIException):
        return error.status_code, str(error.get_codes()), str(error.detail), {}
    return None


def _host_sentence(error: DisallowedHost) -> str:
    """The name that was used stands in Django's own sentence, which is for programmers."""
    match = re.search(r"header: '(.*?)(?::\d+)?'\.", str(error))
    name = match[1][:100] if match else ""
    if not re.fullmatch(r"[\w.-]+|\[[0-9a-fA-F:.]+\]", name):
        return "The Host header of this request is not a host name. Use the host name of the pages."
    return (
        f"This system does not accept the host name {name}. An administrator can add it to the setting "
        f"ALLOWED_HOSTS (names separated by commas: ALLOWED_HOSTS=localhost,{name}) and restart the system."
    )


def _first_sentence(detail: Any) -> str:
    """'field: message' of the first thing that is wrong, for people; `errors` carries all of them."""
    if isinstance(detail, Mapping):
        field, inner = next(iter(detail.items()))
        return _first_sentence(inner) if field == _NON_FIELD_ERRORS else f"{field}: {_first_sentence(inner)}"
    if isinstance(detail, list):
        return _first_sentence(detail[0])
    return str(detail)


def exception_handler(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """DRF's hook. An unknown error is left to Django, which logs it and calls `server_error`."""
    reads = context["request"].method in SAFE_METHODS if context.get("request") is not None else False
    problem = describe(error, changed_nothing=reads or not getattr(context.get("view"), "begun", True))
    if problem is None:
        return None
    status, code, detail, extra = problem
    if isinstance(error, exceptions.APIException):
        detail = _sentence(error, context) or detail
    headers = _later(status, error)
    if isinstance(error, exceptions.APIException):
        if getattr(error, "auth_header", None):
            headers["WWW-Authenticate"] = error.auth_header  # type: ignore[attr-defined]
        if getattr(error, "wait", None):
            headers["Retry-After"] = str(int(error.wait))  # type: ignore[attr-defined]
    return Response(document(status, code, detail, **extra), status=status, headers=headers, content_type=MEDIA_TYPE)


def _sentence(error: exceptions.APIException, context: Mapping[str, Any]) -> str:
    """What we say in place of the framework, empty where it is ours already."""
    view, request = context.get("view"), context.get("request")
    if isinstance(error, exceptions.NotAuthenticated):
        return (
            "This request does not say who sends it. Send the header Authorization: Bearer TOKEN; create a token "
            "with manage.py create_token."
        )
    if isinstance(error, exceptions.MethodNotAllowed):
        methods = [method for method in getattr(view, "allowed_methods", ()) if method != "OPTIONS"]
        return f"{getattr(request, 'method', '')} is not possible at this address. Possible: {', '.join(methods)}."
    if isinstance(error, exceptions.UnsupportedMediaType):
        types = " or ".join(str(parser.media_type) for parser in getattr(view, "parser_classes", ()))
        content_type = getattr(request, "content_type", "")
        form = f"as {content_type.partition(';')[0][:100]}" if content_type else "without a Content-Type"
        return f"The body came {form}, which is not read here. Nothing was done. Send {types}."
    if isinstance(error, exceptions.NotAcceptable):
        return "The answer is not available in the form of the Accept header. Ask for application/json or */*."
    if isinstance(error, exceptions.PermissionDenied) and str(error.detail).startswith("CSRF"):
        return (
            "The CSRF token is missing or out of date. Nothing was done. A browser's session sends it in the header "
            "X-CSRFToken; a program has a token of its own (Authorization: Bearer TOKEN)."
        )
    return ""


def response(status: int, code: str, detail: str, **extra: Any) -> JsonResponse:
    """The same document outside of DRF."""
    content = document(status, code, detail, **extra)
    return JsonResponse(content, status=status, content_type=MEDIA_TYPE, headers=_later(status))


def _later(status: int, error: Exception | None = None) -> dict[str, str]:
    """Retry-After, where the same request may succeed a little later."""
    seconds = getattr(error, "retry_after", None) or (RETRY_SECONDS if status == 503 else None)
    return {} if seconds is None else {"Retry-After": str(seconds)}


def is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")
