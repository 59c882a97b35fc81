"""What all views of the API share: rights by method, parsing, cursor pages, files that never change."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseBase
from django.utils.cache import patch_cache_control
from django.utils.http import parse_etags
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.roles import Right
from mvtec_site.errors import UserError

T = TypeVar("T")


class ProblemOutput(serializers.Serializer):
    """RFC 9457."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()


_PROBLEM = OpenApiResponse(ProblemOutput, description="RFC 9457 problem document")


def problems(*statuses: int) -> dict[tuple[int, str], OpenApiResponse]:
    """For `extend_schema(responses=...)`: the errors that a view answers, and those that every view may answer."""
    every = {400, 401, 403, 404, 405, 406, 429, 503, *statuses}
    return {(status, "application/problem+json"): _PROBLEM for status in sorted(every)}


class ApiView(APIView):
    """One action: parse, call one service or selector, answer.

    `rights`: the right that each method needs (a tuple: one of them). `hidden`: answer 404, not 403, to those who may
    not read what is there.
    """

    rights: ClassVar[Mapping[str, Right | tuple[Right, ...]]]
    hidden: ClassVar[bool] = False


def parsed(shape: type[serializers.Serializer], data: Any) -> dict[str, Any]:
    """The validated input; raises DRF's ValidationError, which is answered as a problem with `errors`."""
    serializer = shape(data=data)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


class Page(CursorPagination):
    """`?limit=` rows after `?cursor=`, newest first; the cursor is opaque, and adding rows moves no page."""

    page_size = 50
    max_page_size = 500
    page_size_query_param = "limit"
    ordering = "-id"

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValueError, TypeError, ValidationError) as error:
            raise UserError("This cursor is not one of ours. Begin again without it.", code="invalid_cursor") from error


def page_response(
    queryset: QuerySet, request: Request, document: Callable[[Any], Any], *, ordering: tuple[str, ...] = ("-id",)
) -> Response:
    """One page of rows, each as `document` shows it: `{"next": ..., "previous": ..., "results": [...]}`."""
    page = Page()
    page.ordering = ordering  # type: ignore[assignment]
    rows = page.paginate_queryset(queryset, request) or []
    return page.get_paginated_response([document(row) for row in rows])


def page_output(item: type[serializers.Serializer]) -> type[serializers.Serializer]:
    """The shape of `page_response`, for the schema."""
    return type(
        f"{item.__name__.removesuffix('Output')}PageOutput",
        (serializers.Serializer,),
        {
            "next": serializers.URLField(allow_null=True),
            "previous": serializers.URLField(allow_null=True),
            "results": item(many=True),
        },
    )


class OneForm(DefaultContentNegotiation):
    """A file has one form; what an <img> says it would accept does not matter."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


def immutable(
    request: Request, identity: str, make: Callable[[], HttpResponseBase], *, max_age: int = 31_536_000
) -> HttpResponseBase:
    """The answer of an address whose content never changes: kept for good by whoever asks, 304 when it has it."""
    etag = f'"{hashlib.sha256(identity.encode()).hexdigest()[:32]}"'
    known = parse_etags(request.headers.get("If-None-Match", ""))
    response = HttpResponse(status=304) if etag in known or "*" in known else make()
    response["ETag"] = etag
    response["X-Content-Type-Options"] = "nosniff"
    patch_cache_control(response, private=True, max_age=max_age, immutable=True)
    return response
