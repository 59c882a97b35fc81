"""The history: a page of it, and all of it to take away."""

from __future__ import annotations

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
from inspection.history import selectors
from inspection.history.exports import COLUMNS, FORMS, export_inspections
from inspection.history.filters import FILTERS, parse_filters
from inspection.judging.serializers import InspectionOutput

DIALECT = OpenApiParameter(
    "dialect",
    {"type": "string", "enum": list(DIALECTS), "default": DEFAULT_DIALECT},
    description="of CSV: " + "; ".join(f"{name}: {one.description}" for name, one in DIALECTS.items()),
)
FILTER_PARAMETERS = [
    OpenApiParameter(name, dict(one.kind.schema), description=one.help) for name, one in FILTERS.items()
]


class InspectionRowOutput(InspectionOutput):
    """A record in a list: without what its own page alone shows, with where it came from."""

    regions = None  # type: ignore[assignment]
    ignored_outlines = None  # type: ignore[assignment]
    image_statistics = None  # type: ignore[assignment]
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
        filters = parse_filters(request.query_params, other_names=("limit", "cursor", "order"), strict=True)
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
        filters = parse_filters(request.query_params, other_names=("format", "dialect"), strict=True)
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
