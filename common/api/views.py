"""What all views of the API share: rights by method, the check of the query, content types, files that never change."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import patch_cache_control
from django.utils.http import parse_etags
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.views import APIView

from common.api.validation import check_query
from common.rights import Right


class Negotiation(DefaultContentNegotiation):
    """By the header `Accept` alone: `?format=` is a parameter like others, where there is one."""

    settings: Any = SimpleNamespace(URL_FORMAT_OVERRIDE=None)


class ApiView(APIView):
    """One action: parse, call one service or selector, answer.

    `rights`: the right that each method needs (a tuple: one of them). `hidden`: answer 404, not 403, to those who may
    not read what is there.
    """

    rights: ClassVar[Mapping[str, Right | tuple[Right, ...]]]
    hidden: ClassVar[bool] = False
    content_negotiation_class: type[DefaultContentNegotiation] = Negotiation
    begun = False  # whether the caller was let in, so that something may have been done

    def perform_authentication(self, request: Request) -> None:
        """Who it is, and whether they come too often: those who are refused are counted too."""
        try:
            super().perform_authentication(request)
        finally:
            super().check_throttles(request)

    def check_throttles(self, request: Request) -> None:
        """Done already, before anybody was refused."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Also refuses what the address asks for and the schema of the method does not have: nothing would read it."""
        super().initial(request, *args, **kwargs)
        check_query(self, request)
        self.begun = True


class OneForm(DefaultContentNegotiation):
    """A file has one form; what an <img> says it would accept does not matter."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


def immutable(
    request: Request | HttpRequest, identity: str, make: Callable[[], HttpResponseBase], *, max_age: int = 31_536_000
) -> HttpResponseBase:
    """The answer of an address whose content never changes: kept for good by whoever asks, 304 when it has it."""
    etag = f'"{hashlib.sha256(identity.encode()).hexdigest()[:32]}"'
    etags = parse_etags(request.headers.get("If-None-Match", ""))
    response = HttpResponse(status=304) if etag in etags or "*" in etags else make()
    response["ETag"] = etag
    response["X-Content-Type-Options"] = "nosniff"
    patch_cache_control(response, private=True, max_age=max_age, immutable=True)
    return response
