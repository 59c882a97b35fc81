"""The report of a shift, a day, a week, a month, a period or a lot, as it is now."""

from __future__ import annotations

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.schema import problems
from common.api.validation import parsed_query
from common.api.views import ApiView, OneForm
from common.rights import Right
from reports.content.documents import report_document
from reports.content.pdf import pictures_of, report_pdf
from reports.content.scope import Scope, parse_scope
from reports.content.serializers import ReportOutput, ReportQuery
from reports.content.table import report_csv


def file_response(data: bytes, content_type: str, name: str) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-store"}
    return HttpResponse(data, content_type=content_type, headers=headers)


def _scope(request: Request) -> Scope:
    return parse_scope(parsed_query(ReportQuery, request))


def _name(scope: Scope, form: str) -> str:
    return f"report-{scope.kind}-{scope.since:%Y%m%d-%H%M}.{form}"


class ReportView(ApiView):
    """All figures. Nothing asked for: the present shift of all categories."""

    rights = {"GET": Right.READ}

    @extend_schema(parameters=[ReportQuery], responses={200: ReportOutput, **problems()}, operation_id="report")
    def get(self, request: Request) -> Response:
        return Response(report_document(_scope(request)))


class ReportCsvView(ApiView):
    """The same as a CSV file: each figure by itself."""

    rights = {"GET": Right.READ}
    content_negotiation_class = OneForm

    @extend_schema(
        parameters=[ReportQuery],
        responses={(200, "text/csv"): OpenApiTypes.STR, **problems()},
        operation_id="report_csv",
    )
    def get(self, request: Request) -> HttpResponse:
        scope = _scope(request)
        return file_response(report_csv(report_document(scope)), "text/csv; charset=utf-8", _name(scope, "csv"))


class ReportPdfView(ApiView):
    """The same as a PDF file, with the worst images."""

    rights = {"GET": Right.READ}
    content_negotiation_class = OneForm

    @extend_schema(
        parameters=[ReportQuery],
        responses={(200, "application/pdf"): OpenApiTypes.BINARY, **problems()},
        operation_id="report_pdf",
    )
    def get(self, request: Request) -> HttpResponse:
        scope = _scope(request)
        document = report_document(scope)
        return file_response(report_pdf(document, pictures_of(document)), "application/pdf", _name(scope, "pdf"))
