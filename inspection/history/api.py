"""The history: a page of it, and all of it to take away."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponseBase, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PAGE_PARAMETERS, read_page
from common.api.schema import page_output, problems
from common.api.views import ApiView, OneForm
from common.rights import Right
from inspection.csv_tables import DEFAULT_DIALECT, DIALECTS
from inspection.history import filters as history
from inspection.history import selectors
from inspection.history.exports import COLUMNS, FORMS, export_inspections
from inspection.judging.serializers import InspectionOutput
from inspection.models import Inspection, Review

_YES_NO = {"type": "string", "enum": ["yes", "no"]}
_NUMBER = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}
_TEXT = {"type": "string", "maxLength": 100}
_SHAPES: dict[str, tuple[dict[str, Any], str]] = {
    "period": (
        {"type": "string", "enum": ["today", *history.PERIODS]},
        "until now, instead of `since`; days are those of the system's time zone",
    ),
    "since": (
        {"type": "string", "example": "2026-11-01"},
        "from this day or moment on; without an offset in the system's time zone",
    ),
    "until": (
        {"type": "string", "example": "2026-11-30"},
        "to the end of this day, or before this moment",
    ),
    "category": ({"type": "string"}, "name"),
    "outcome": (
        {"type": "array", "items": {"type": "string", "enum": Inspection.Outcome.values}},
        "one of those that are given",
    ),
    "score_min": ({"type": "number"}, "records with a score not below this"),
    "score_max": ({"type": "number"}, "records with a score not above this"),
    "model_version": (_NUMBER, "id"),
    "threshold": (_NUMBER, "id of a threshold revision"),
    "threshold_revision": (_NUMBER, "its number, of `model_version` or of any"),
    "station": (_TEXT, ""),
    "lot": (_TEXT, ""),
    "part_number": (_TEXT, ""),
    "source": ({"type": "string", "maxLength": 16}, "how the image came: api, web, command, ..."),
    "operator": ({"type": "string"}, "user name of who had it inspected"),
    "serial_number": (_TEXT, "whole"),
    "serial": (_TEXT, "how the serial number begins"),
    "search": (_TEXT, "how the file name, the serial number, the lot or the part number begins"),
    "batch": ({"type": "string", "format": "uuid"}, ""),
    "image_sha256": ({"type": "string", "pattern": "^[0-9a-f]{64}$"}, "of the image file as it was sent"),
    "reviewed": (_YES_NO, ""),
    "overruled": (_YES_NO, "of the reviewed ones: whether the review that stands differs from the verdict"),
    "contested": (_YES_NO, "of the reviewed ones: whether reviews differ among themselves"),
    "review_verdict": ({"type": "string", "enum": Review.Verdict.values}, "that stands"),
    "reviewer": ({"type": "string"}, "user name of whose review stands"),
}
DIALECT = OpenApiParameter(
    "dialect",
    {"type": "string", "enum": list(DIALECTS), "default": DEFAULT_DIALECT},
    description="of CSV: " + "; ".join(f"{name}: {one.description}" for name, one in DIALECTS.items()),
)
FILTER_PARAMETERS = [OpenApiParameter(name, shape, description=text) for name, (shape, text) in _SHAPES.items()]


class InspectionRowOutput(InspectionOutput):
    """A record in a list: without `regions` and `timings`, with where it came from."""

    regions = None  # type: ignore[assignment]
    timings = None  # type: ignore[assignment]
    anomaly_map = serializers.CharField(allow_null=True, help_text="address")  # type: ignore[assignment]
    source = serializers.CharField()  # type: ignore[assignment]
    operator = serializers.CharField(allow_null=True)
    batch_id = serializers.UUIDField(allow_null=True)


class HistoryView(ApiView):
    """The records that were asked for, newest first or in another order."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[
            *FILTER_PARAMETERS,
            OpenApiParameter(
                "order",
                {"type": "string", "enum": [*selectors.ORDERS], "default": "newest"},
                description="by score or margin (score minus threshold) only what was scored is listed",
            ),
            *PAGE_PARAMETERS,
        ],
        responses={200: page_output(InspectionRowOutput), **problems()},
        operation_id="inspections",
    )
    def get(self, request: Request) -> Response:
        filters = history.parse_filters(request.query_params, beside=("limit", "cursor", "order"), strict=True)
        keys, ordering = selectors.in_order(filters, selectors.check_order(request.query_params.get("order", "")))
        page = read_page(keys, request, ordering=ordering)
        return page.response(selectors.listed(page.rows))


class ExportView(ApiView):
    """The records that were asked for as a table, newest first, made while it is read."""

    rights = {"GET": Right.EXPORT}
    content_negotiation_class = OneForm

    @extend_schema(
        parameters=[
            OpenApiParameter("format", {"type": "string", "enum": list(FORMS), "default": "csv"}),
            DIALECT,
            *FILTER_PARAMETERS,
        ],
        responses={
            (200, "text/csv"): OpenApiTypes.STR,
            (200, "application/x-ndjson"): OpenApiTypes.STR,
            (200, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"): OpenApiTypes.BINARY,
            **problems(),
        },
        description=f"Columns: {', '.join(COLUMNS)}.",
        operation_id="export_inspections",
    )
    def get(self, request: Request) -> HttpResponseBase:
        filters = history.parse_filters(request.query_params, beside=("format", "dialect"), strict=True)
        form = request.query_params.get("format") or "csv"
        dialect = request.query_params.get("dialect", "")
        export = export_inspections(filters=filters, form=form, dialect=dialect, actor=request.user)
        return StreamingHttpResponse(
            export.content,
            content_type=export.media_type,
            headers={
                "Content-Disposition": f'attachment; filename="{export.filename}"',
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "no-store",
            },
        )
