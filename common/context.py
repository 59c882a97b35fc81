"""Who is acting, from where: what an audit event says beside what was done."""

from __future__ import annotations

import ipaddress
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from common.observability import tracing
from common.observability.ids import log_ids


@dataclass(frozen=True)
class Context:
    source: str  # web, api, command, worker, admin
    request_id: str
    address: str = ""


_current: ContextVar[Context | None] = ContextVar("records_context", default=None)


def current() -> Context:
    """The context in force; code outside of a request, command or task counts as `system`."""
    return _current.get() or Context(source="system", request_id="")


@contextmanager
def acting(source: str, request_id: str = "", address: str = "") -> Iterator[None]:
    token = _current.set(Context(source, request_id or uuid.uuid4().hex, address))
    try:
        yield
    finally:
        _current.reset(token)


RECEIVING_SECONDS = "mvtec.receiving_seconds"  # in the WSGI environment: how long the request took to arrive


def address_of(request: HttpRequest) -> str:
    """Where a request comes from: what the last proxy of ours (`PROXIES`) saw, else the peer itself."""
    return forwarded_address(request.META.get("REMOTE_ADDR", ""), request.headers.get("X-Forwarded-For", ""))


def forwarded_address(peer: str, forwarded: str) -> str:
    """The same of the bare header `X-Forwarded-For`, for what is no request yet."""
    addresses = [word.strip() for word in forwarded.split(",")]
    if not settings.PROXIES or len(addresses) < settings.PROXIES:
        return peer
    try:
        return str(ipaddress.ip_address(addresses[-settings.PROXIES]))
    except ValueError:
        return peer


def _is_clicked(request: HttpRequest) -> bool:
    """Whether somebody follows a link of a page, such as an export: a browser then asks for a page, in its session."""
    return (
        request.method == "GET"
        and "Authorization" not in request.headers
        and "text/html" in request.headers.get("Accept", "")
    )


class RequestContextMiddleware:
    """Gives each request an id (the caller's `X-Request-ID` when it is a plain word) and echoes it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        header = request.headers.get("X-Request-ID", "")
        request_id = header if re.fullmatch(r"[\w.:-]{1,64}", header) else uuid.uuid4().hex
        source = next((s for s in ("api", "admin") if request.path.startswith(f"/{s}/")), "web")
        if source == "api" and _is_clicked(request):
            source = "web"
        carrier = {name: request.headers[name] for name in tracing.HEADERS if name in request.headers}
        with (
            acting(source, request_id, address_of(request)),
            log_ids(request_id=request_id),
            tracing.span(f"{request.method} {source}", carrier=carrier, request_id=request_id) as span,
        ):
            tracing.note_span("receive", request.META.get(RECEIVING_SECONDS, 0.0))
            response = self.get_response(request)
            if span is not None:
                span.set_attribute("http.route", getattr(request.resolver_match, "route", ""))
                span.set_attribute("http.response.status_code", response.status_code)
        response["X-Request-ID"] = request_id
        return response
