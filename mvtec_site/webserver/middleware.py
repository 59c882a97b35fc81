"""What a body must be for the application to read it, whatever server runs the application.

A request is refused here when it has a body that would be read as empty or as something else, or one that is larger
than its address takes; and when the web server refused it before its body came (`refusals`).
"""

from __future__ import annotations

from collections.abc import Callable

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.shortcuts import render
from django.utils import translation
from django.utils.translation import gettext as _

from common.api import problems
from common.web.refusals import refusal_html
from mvtec_site.webserver import refusals
from mvtec_site.webserver.endpoints import endpoint_of
from mvtec_site.webserver.refusals import ENVIRON_KEY, Refusal


class RequestBodyMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        refusal = request.META.get(ENVIRON_KEY) or refusal_of(request)
        if refusal is None:
            return self.get_response(request)
        if not refusal.is_for_the_view:
            return response(request, refusal)

        def refuse_to_read() -> None:
            # Django would take the form for empty when it is asked a second time; this one fails every time.
            raise UnreadablePostError(refusal.detail)

        request._load_post_and_files = refuse_to_read  # type: ignore[method-assign]
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """A view that read what is not there."""
        if not isinstance(exception, UnreadablePostError):
            return None
        return response(request, request.META.get(ENVIRON_KEY) or refusals.BODY_INCOMPLETE)


def refusal_of(request: HttpRequest) -> Refusal | None:
    """Why this body cannot be read as what it is; None when it can."""
    meta = request.META
    length = meta.get("CONTENT_LENGTH") or ""
    if meta.get("HTTP_TRANSFER_ENCODING") and not length:
        return refusals.LENGTH_REQUIRED
    if not length:
        return None
    if not (length.isascii() and length.isdigit() and len(length) <= 18):
        return refusals.LENGTH_UNREADABLE
    size = int(length)
    if size and meta.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() not in ("", "identity"):
        return refusals.ENCODING_UNSUPPORTED
    limit = endpoint_of(request.method or "GET", request.path).max_body
    return refusals.too_large(limit) if size > limit else None


def response(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """A problem document for programs, a page for people."""
    answer: HttpResponse
    if problems.is_api(request) or not request.accepts("text/html"):
        answer = problems.response(refusal.status, refusal.code, refusal.detail)
    else:
        if not hasattr(request, "user"):
            request.user = AnonymousUser()
        # The middleware that chooses the language comes after this one.
        with translation.override(translation.get_language_from_request(request)):
            context = {"title": _("Not received"), "detail": refusal_html(refusal)}
            answer = render(request, "site/problem.html", context, status=refusal.status)
    if refusal.retry_after is not None:
        answer["Retry-After"] = str(refusal.retry_after)
    if refusal.status == 401:
        answer["WWW-Authenticate"] = "Bearer"
    return answer
