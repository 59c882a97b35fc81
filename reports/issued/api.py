"""Reports that were issued: the same bytes at every download."""

from __future__ import annotations

import uuid

from django.http import HttpResponse
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PAGE_PARAMETERS, page_response
from common.api.parsers import JSONParser
from common.api.schema import page_output, problems
from common.api.validation import parsed
from common.api.views import ApiView, OneForm
from common.rights import Right
from reports.content.api import file_response
from reports.content.scope import parse_scope
from reports.content.serializers import ReportOutput
from reports.issued import selectors, services
from reports.issued.documents import issued_document
from reports.issued.models import MEDIA_TYPES
from reports.issued.serializers import IssuedReportOutput, IssueInput


class IssuedReportsView(ApiView):
    """The issued reports, newest first."""

    rights = {"GET": Right.READ, "POST": Right.EXPORT}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=PAGE_PARAMETERS,
        responses={200: page_output(IssuedReportOutput), **problems()},
        operation_id="issued_reports",
    )
    def get(self, request: Request) -> Response:
        return page_response(selectors.reports(), request, issued_document, ordering=selectors.ORDER)

    @extend_schema(
        request=IssueInput,
        responses={201: IssuedReportOutput, **problems(413, 415)},
        operation_id="issue_report",
    )
    def post(self, request: Request) -> Response:
        """Freeze a report as it is now: its document and files, with their hashes in the audit log."""
        report = services.issue_report(scope=parse_scope(parsed(IssueInput, request.data)), actor=request.user)
        found = selectors.find_report(report.pk)
        address = reverse("api-issued-report", args=[report.pk])
        return Response(issued_document(found), status=201, headers={"Location": address})


class IssuedReportView(ApiView):
    """One of them, and what became of its messages."""

    rights = {"GET": Right.READ}

    @extend_schema(responses={200: IssuedReportOutput, **problems()}, operation_id="issued_report")
    def get(self, request: Request, report_id: uuid.UUID) -> Response:
        return Response(issued_document(selectors.find_report(report_id)))


class _FileView(ApiView):
    """One of its files, byte for byte as it was issued."""

    rights = {"GET": Right.READ}
    content_negotiation_class = OneForm
    form: str

    def file(self, report_id: uuid.UUID) -> HttpResponse:
        report = selectors.find_report(report_id)
        return file_response(report.file(self.form), MEDIA_TYPES[self.form], f"report-{report.pk}.{self.form}")


class IssuedReportJsonView(_FileView):
    """The report as JSON, byte for byte as it was issued."""

    form = "json"

    @extend_schema(responses={200: ReportOutput, **problems()}, operation_id="issued_report_json")
    def get(self, request: Request, report_id: uuid.UUID) -> HttpResponse:
        return self.file(report_id)


class IssuedReportCsvView(_FileView):
    """The CSV file, byte for byte as it was issued."""

    form = "csv"

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR, **problems()}, operation_id="issued_report_csv")
    def get(self, request: Request, report_id: uuid.UUID) -> HttpResponse:
        return self.file(report_id)


class IssuedReportPdfView(_FileView):
    """The PDF file, byte for byte as it was issued."""

    form = "pdf"

    @extend_schema(
        responses={(200, "application/pdf"): OpenApiTypes.BINARY, **problems()}, operation_id="issued_report_pdf"
    )
    def get(self, request: Request, report_id: uuid.UUID) -> HttpResponse:
        return self.file(report_id)
