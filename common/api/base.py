"""What all views of the API share: rights by method, parsing, cursor pages, files that never change."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, ClassVar, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import patch_cache_control
from django.utils.http import parse_etags
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from common.api.messages import name_choices
from common.api.requests import check_fields, nearest_name, unknown_name
from common.errors import UserError
from common.rights import Right

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
        _check_query(self, request)
        self.begun = True


def _check_query(view: APIView, request: Request) -> None:
    reads = "GET" if request.method == "HEAD" else str(request.method)
    if reads == "OPTIONS" or not request.query_params:
        return
    known = _query_parameters(view, reads)
    for name in request.query_params:
        if name not in known:
            if reads == "GET":
                raise UserError(
                    f"{name[:100]} is no parameter of this address. Nothing was looked up. "
                    + unknown_name(name, list(known), none="It takes none."),
                    code="invalid_filter",
                    parameter=name[:100],
                    nearest=nearest_name(name, known),
                )
            raise UserError(
                f"{name[:100]} stands in the address, where {reads} reads nothing. Nothing was done. Send it in the "
                "body.",
                code="unknown_field",
                field=name[:100],
            )
        if not known[name] and len(request.query_params.getlist(name)) > 1:
            raise UserError(
                f"{name} is given more than once. Nothing was looked up. Send it once.",
                code="invalid_filter",
                parameter=name,
            )


def _query_parameters(view: APIView, method: str) -> dict[str, bool]:
    """The query parameters that a method declares in its schema, and whether they may be repeated."""
    declared = getattr(getattr(view, method.lower(), None), "kwargs", {}).get("schema")
    if declared is None:
        return {}
    schema = declared()
    schema.view, schema.method = view, method
    found: dict[str, bool] = {}
    for parameter in schema.get_override_parameters():
        if isinstance(parameter, OpenApiParameter):
            if parameter.location == OpenApiParameter.QUERY:
                shape = parameter.type
                found[parameter.name] = parameter.many or (isinstance(shape, dict) and shape.get("type") == "array")
        else:
            fields = parameter().fields
            found |= {name: isinstance(field, serializers.ListField) for name, field in fields.items()}
    return found


NoInput = serializers.Serializer  # of a method that takes no fields


def parsed(shape: type[serializers.Serializer], data: Any) -> dict[str, Any]:
    """The validated body. Raises `UserError` for fields that are unknown or repeated, and DRF's ValidationError, which
    is answered as a problem with `errors`."""
    if not isinstance(data, Mapping):
        kind = {list: "an array", str: "a text", bool: "a truth value", type(None): "null"}.get(type(data), "a number")
        raise UserError(
            f"The body must be a JSON object with fields by name, not {kind}. Nothing was done.", code="invalid"
        )
    serializer = shape(data=data)
    check_fields(serializer, data)
    return _valid(serializer)


def parsed_query(shape: type[serializers.Serializer], request: Request) -> dict[str, Any]:
    """The same of the query string, in which `ApiView` has found no name that the method does not declare.

    An empty value is refused where the schema allows none: left out silently, it would answer more than was meant.
    """
    serializer = shape(data=request.query_params)
    for name, field in serializer.fields.items():
        if request.query_params.get(name) == "" and not getattr(field, "allow_blank", False):
            raise UserError(
                f"{name} is empty; leave it out to ask for nothing. Nothing was looked up.",
                code="invalid_filter",
                parameter=name,
            )
    return _valid(serializer)


def _valid(serializer: serializers.Serializer) -> dict[str, Any]:
    name_choices(serializer)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


_PAGE_SIZE, _LARGEST_PAGE = 50, 500
PAGE_PARAMETERS = [
    OpenApiParameter(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": _LARGEST_PAGE, "default": _PAGE_SIZE},
        description="rows of a page",
    ),
    OpenApiParameter("cursor", str, description="where a page begins: taken from `next` or `previous` of another"),
]


@dataclass(frozen=True)
class Page:
    """Rows after or before a cursor, in the order that was asked for, and the addresses of the pages beside it."""

    rows: list[Any]
    next: str | None
    previous: str | None

    def response(self, documents: Iterable[Any]) -> Response:
        return Response({"next": self.next, "previous": self.previous, "results": list(documents)})


def read_page(queryset: QuerySet, request: Request | HttpRequest, *, ordering: tuple[str, ...] = ("-id",)) -> Page:
    """`?limit=` rows beside `?cursor=`. The cursor is opaque and holds the last row's own values of the ordering, which
    together must be unique: no page is moved by rows that come or go, and none is found by counting."""
    limit = _limit(request)
    cursor = request.GET.get("cursor", "")
    backwards, values = _decoded(cursor, queryset, ordering) if cursor else (False, None)
    wanted = tuple(_opposite(name) for name in ordering) if backwards else ordering
    if values is not None:
        queryset = queryset.filter(beyond(wanted, values))
    found = list(queryset.order_by(*wanted)[: limit + 1])
    more, rows = len(found) > limit, found[:limit]
    if backwards:
        rows.reverse()
    # On the side that was come from there is a page, at least that of the row that was come from.
    after, before = (True, more) if backwards else (more, values is not None)

    def address(row: Any, *, backwards: bool) -> str:
        position = _encoded(backwards, [value_of(row, name) for name in ordering])
        return replace_query_param(request.build_absolute_uri(), "cursor", position)

    return Page(
        rows,
        next=address(rows[-1], backwards=False) if rows and after else None,
        previous=address(rows[0], backwards=True) if rows and before else None,
    )


def page_response(
    queryset: QuerySet, request: Request, document: Callable[[Any], Any], *, ordering: tuple[str, ...] = ("-id",)
) -> Response:
    """One page of rows, each as `document` shows it: `{"next": ..., "previous": ..., "results": [...]}`."""
    page = read_page(queryset, request, ordering=ordering)
    return page.response(document(row) for row in page.rows)


def _limit(request: Request | HttpRequest) -> int:
    text = request.GET.get("limit", str(_PAGE_SIZE))
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= _LARGEST_PAGE:
        raise UserError(f"limit must be a whole number from 1 to {_LARGEST_PAGE}.", code="invalid")
    return int(text)


def _opposite(name: str) -> str:
    return name[1:] if name.startswith("-") else f"-{name}"


def value_of(row: Any, name: str) -> Any:
    """What a row has under a name of an ordering."""
    for part in name.removeprefix("-").split("__"):
        row = getattr(row, part)
    return row


def beyond(ordering: tuple[str, ...], values: list[Any]) -> Q:
    """What comes after a row. The first of the ordering bounds all of it, so that an index on it leads there."""
    (name, *others), (value, *rest) = ordering, values
    field, side = name.removeprefix("-"), "lt" if name.startswith("-") else "gt"
    strictly = Q(**{f"{field}__{side}": value})
    if not others:
        return strictly
    return Q(**{f"{field}__{side}e": value}) & (strictly | beyond(tuple(others), rest))


def _encoded(backwards: bool, values: list[Any]) -> str:
    text = json.dumps(
        [int(backwards), *(value.isoformat() if hasattr(value, "isoformat") else str(value) for value in values)]
    )
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decoded(cursor: str, queryset: QuerySet, ordering: tuple[str, ...]) -> tuple[bool, list[Any]]:
    try:
        found = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        backwards, *texts = found
        if backwards not in (0, 1) or len(texts) != len(ordering) or not all(isinstance(text, str) for text in texts):
            raise ValueError("another ordering")
        return bool(backwards), [_read(queryset, name, text) for name, text in zip(ordering, texts, strict=True)]
    except (ValueError, TypeError, OverflowError, ValidationError, RecursionError) as error:
        raise UserError("This cursor is not one of ours. Begin again without it.", code="invalid_cursor") from error


def _read(queryset: QuerySet, name: str, text: str) -> Any:
    """A value of a field or annotation, from its text; bounded, so that the database can take it."""
    name = name.removeprefix("-")
    value = _field_of(queryset, name).to_python(text)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("no number")
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError("too large")
    if isinstance(value, datetime):
        value = value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)
    if isinstance(value, str) and b"\0" in value.encode():  # half a surrogate pair is a ValueError of `encode`
        raise ValueError("no text that a database takes")
    return value


def _field_of(queryset: QuerySet, name: str) -> Any:
    if name in queryset.query.annotations:
        return queryset.query.annotations[name].output_field
    model: type[Model] = queryset.model
    *path, last = name.split("__")
    for step in path:
        model = model._meta.get_field(step).related_model  # type: ignore[assignment]
    return model._meta.get_field(last)


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
