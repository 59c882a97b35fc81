"""Statements of inspection: as it is now, and those that were issued."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PAGE_PARAMETERS, page_response
from common.api.parsers import JSONParser
from common.api.schema import page_output, problems
from common.api.validation import parsed, parsed_query
from common.api.views import ApiView, OneForm
from common.rights import Right
from reports.content.api import file_response
from reports.issued.models import MEDIA_TYPES
from reports.models import IssuedStatement
from reports.statements import selectors, services
from reports.statements import serializers as shapes
from reports.statements.documents import statement_document
from reports.statements.scope import parse_scope


def issued_document(statement: IssuedStatement) -> dict[str, Any]:
    return {
        "statement_id": str(statement.pk),
        "title": statement.title,
        "basis": statement.basis,
        "station": statement.station,
        "first": statement.first,
        "last": statement.last,
        "exceptions": statement.exceptions,
        "issued_by": statement.issued_by.get_username() if statement.issued_by else None,
        "created_at": statement.created_at.isoformat(),
        **{f"{form}_url": reverse(f"statement-{form}", args=[statement.pk]) for form in ("json", "pdf")},
    }


class StatementView(ApiView):
    """What could be stated now. Nothing is kept."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[shapes.StatementQuery],
        responses={200: shapes.StatementOutput, **problems()},
        operation_id="statement",
    )
    def get(self, request: Request) -> Response:
        scope = parse_scope(parsed_query(shapes.StatementQuery, request))
        return Response(statement_document(scope, now=timezone.now(), actor=request.user))


class IssuedStatementsView(ApiView):
    """The issued statements, newest first."""

    rights = {"GET": Right.READ, "POST": Right.EXPORT}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=PAGE_PARAMETERS,
        responses={200: page_output(shapes.IssuedStatementOutput), **problems()},
        operation_id="issued_statements",
    )
    def get(self, request: Request) -> Response:
        return page_response(selectors.statements(), request, issued_document, ordering=selectors.ORDER)

    @extend_schema(
        request=shapes.StatementQuery,
        responses={201: shapes.IssuedStatementOutput, **problems(413, 415)},
        operation_id="issue_statement",
        examples=[
            OpenApiExample(
                "500 parts",
                value={"station": "east", "first": "S0001000", "last": "S0001499"},
                request_only=True,
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Freeze a statement as it is now: its document and PDF file, with their hashes in the audit log."""
        scope = parse_scope(parsed(shapes.StatementQuery, request.data))
        made = services.issue_statement(scope=scope, actor=request.user)
        address = reverse("api-statement", args=[made.pk])
        return Response(issued_document(selectors.find_statement(made.pk)), status=201, headers={"Location": address})


class IssuedStatementView(ApiView):
    """One of them."""

    rights = {"GET": Right.READ}

    @extend_schema(responses={200: shapes.IssuedStatementOutput, **problems()}, operation_id="issued_statement")
    def get(self, request: Request, statement_id: uuid.UUID) -> Response:
        return Response(issued_document(selectors.find_statement(statement_id)))


class StatementJsonView(ApiView):
    """The statement as JSON, byte for byte as it was issued."""

    rights = {"GET": Right.READ}
    content_negotiation_class = OneForm

    @extend_schema(responses={200: shapes.StatementOutput, **problems()}, operation_id="statement_json")
    def get(self, request: Request, statement_id: uuid.UUID) -> HttpResponse:
        return _file(statement_id, "json")


class StatementPdfView(ApiView):
    """The PDF file, byte for byte as it was issued."""

    rights = {"GET": Right.READ}
    content_negotiation_class = OneForm

    @extend_schema(
        responses={(200, "application/pdf"): OpenApiTypes.BINARY, **problems()}, operation_id="statement_pdf"
    )
    def get(self, request: Request, statement_id: uuid.UUID) -> HttpResponse:
        return _file(statement_id, "pdf")


def _file(statement_id: uuid.UUID, form: str) -> HttpResponse:
    statement = selectors.find_statement(statement_id)
    return file_response(statement.file(form), MEDIA_TYPES[form], f"statement-{statement.pk}.{form}")
