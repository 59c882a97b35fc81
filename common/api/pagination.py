"""Cursor pages, of the API and of lists on pages: by the values of the last row, never by counting."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, QueryDict
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from common.errors import UserError

_PAGE_SIZE, _MAX_PAGE_SIZE = 50, 500
PAGE_PARAMETERS = [
    OpenApiParameter(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": _MAX_PAGE_SIZE, "default": _PAGE_SIZE},
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

    @property
    def next_cursor(self) -> str:
        return _cursor_in(self.next)

    @property
    def previous_cursor(self) -> str:
        return _cursor_in(self.previous)

    @property
    def queries(self) -> dict[str, str | None]:
        """The queries of the pages beside it, for links on the same page."""
        return {
            "next": self.next and f"?{urlsplit(self.next).query}",
            "previous": self.previous and f"?{urlsplit(self.previous).query}",
        }

    def response(self, documents: Iterable[Any]) -> Response:
        return Response({"next": self.next, "previous": self.previous, "results": list(documents)})


def _cursor_in(address: str | None) -> str:
    return QueryDict(urlsplit(address).query).get("cursor", "") if address else ""


def read_page(queryset: QuerySet, request: Request | HttpRequest, *, ordering: tuple[str, ...] = ("-id",)) -> Page:
    """`?limit=` rows beside `?cursor=`. The cursor is opaque and holds the last row's own values of the ordering, which
    together must be unique: no page is moved by rows that come or go, and none is found by counting."""
    limit = _limit(request)
    cursor = request.GET.get("cursor", "")
    backwards, values = _decode_cursor(cursor, queryset, ordering) if cursor else (False, None)
    direction = tuple(_opposite(name) for name in ordering) if backwards else ordering
    if values is not None:
        queryset = queryset.filter(keyset_filter(direction, values))
    rows = list(queryset.order_by(*direction)[: limit + 1])
    more, rows = len(rows) > limit, rows[:limit]
    if backwards:
        rows.reverse()
    # On the side that was come from there is a page, at least that of the row that was come from.
    after, before = (True, more) if backwards else (more, values is not None)

    def address(row: Any, *, backwards: bool) -> str:
        position = _encode_cursor(backwards, [value_of(row, name) for name in ordering])
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
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= _MAX_PAGE_SIZE:
        raise UserError(f"limit must be a whole number from 1 to {_MAX_PAGE_SIZE}.", code="invalid")
    return int(text)


def _opposite(name: str) -> str:
    return name[1:] if name.startswith("-") else f"-{name}"


def value_of(row: Any, name: str) -> Any:
    """What a row has under a name of an ordering."""
    for part in name.removeprefix("-").split("__"):
        row = getattr(row, part)
    return row


def keyset_filter(ordering: tuple[str, ...], values: list[Any]) -> Q:
    """What comes after a row. The first of the ordering bounds all of it, so that an index on it leads there."""
    (name, *other_fields), (value, *other_values) = ordering, values
    field, side = name.removeprefix("-"), "lt" if name.startswith("-") else "gt"
    strictly = Q(**{f"{field}__{side}": value})
    if not other_fields:
        return strictly
    return Q(**{f"{field}__{side}e": value}) & (strictly | keyset_filter(tuple(other_fields), other_values))


def _encode_cursor(backwards: bool, values: list[Any]) -> str:
    text = json.dumps(
        [int(backwards), *(value.isoformat() if hasattr(value, "isoformat") else str(value) for value in values)]
    )
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode_cursor(cursor: str, queryset: QuerySet, ordering: tuple[str, ...]) -> tuple[bool, list[Any]]:
    try:
        position = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        backwards, *texts = position
        if backwards not in (0, 1) or len(texts) != len(ordering) or not all(isinstance(text, str) for text in texts):
            raise ValueError("another ordering")
        return bool(backwards), [_parse_value(queryset, name, text) for name, text in zip(ordering, texts, strict=True)]
    except (ValueError, TypeError, OverflowError, ValidationError, RecursionError) as error:
        raise UserError("This cursor is not valid. Start again without it.", code="invalid_cursor") from error


def _parse_value(queryset: QuerySet, name: str, text: str) -> Any:
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
