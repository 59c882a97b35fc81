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
        with acting(source, request_id, address_of(request)):
            response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response
