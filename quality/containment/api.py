"""Containments: started from an escape, searched by a worker, signed."""

from __future__ import annotations

import uuid

from django.http import HttpResponse
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PAGE_PARAMETERS, page_response
from common.api.parsers import JSONParser
from common.api.schema import page_output, problems
from common.api.validation import parsed
from common.api.views import ApiView, OneForm
from common.rights import Right
from inspection.judging.selectors import find_inspection
from modelzoo.selectors import find_version
from quality.containment import documents, report, selectors, services
from quality.containment.serializers import ContainedPartOutput, ContainmentInput, ContainmentOutput
from quality.models import ContainedPart

_ORDER = ("-created_at", "-id")


class ContainmentsView(ApiView):
    """The containments, newest first."""

    rights = {"GET": Right.READ, "POST": Right.TUNE}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=PAGE_PARAMETERS,
        responses={200: page_output(ContainmentOutput), **problems()},
        operation_id="containments",
    )
    def get(self, request: Request) -> Response:
        return page_response(selectors.containments(), request, documents.containment_document, ordering=_ORDER)

    @extend_schema(
        request=ContainmentInput,
        responses={202: ContainmentOutput, **problems(409, 413, 415)},
        operation_id="start_containment",
        examples=[
            OpenApiExample(
                "all that passed as this part did, and what version 9 says of it",
                request_only=True,
                value={
                    "inspection_id": "61553e9a-0e2a-4a8a-83ba-0ac0a0e6846f",
                    "reason": "complaint 2044 of the customer",
                    "model_version": 9,
                },
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Search all that passed the same model version at the same threshold since the last change of either."""
        fields = parsed(ContainmentInput, request.data)
        reference = fields["model_version"]
        containment = services.request_containment(
            escape=find_inspection(fields["inspection_id"]),
            reason=fields["reason"],
            actor=request.user,
            version=find_version(reference=reference) if reference else None,
            min_likeness=fields["min_likeness"],
            use_reference_parts=fields["use_reference_parts"],
        )
        return Response(
            documents.containment_document(selectors.find_containment(containment.pk)),
            status=202,
            headers={"Location": reverse("api-containment", args=[containment.pk])},
        )


class ContainmentView(ApiView):
    """Progress and result."""

    rights = {"GET": Right.READ}

    @extend_schema(responses={200: ContainmentOutput, **problems()}, operation_id="containment")
    def get(self, request: Request, containment_id: uuid.UUID) -> Response:
        return Response(documents.containment_document(selectors.find_containment(containment_id)))


class ContainmentPartsView(ApiView):
    """The listed parts, the last found first; the signed list has the order by likeness."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=PAGE_PARAMETERS,
        responses={200: page_output(ContainedPartOutput), **problems()},
        operation_id="containment_parts",
    )
    def get(self, request: Request, containment_id: uuid.UUID) -> Response:
        containment = selectors.find_containment(containment_id)
        parts = ContainedPart.objects.filter(containment=containment).select_related("inspection")
        return page_response(parts, request, documents.part_document)


class ContainmentCsvView(ApiView):
    """The signed list as a CSV file: the bytes that the signature is of."""

    rights = {"GET": Right.EXPORT}
    content_negotiation_class = OneForm

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR, **problems(409)}, operation_id="containment_csv")
    def get(self, request: Request, containment_id: uuid.UUID) -> HttpResponse:
        containment = selectors.find_containment(containment_id)
        data = report.export_csv(containment=containment, actor=request.user)
        return _file(data, "text/csv; charset=utf-8", f"containment-{containment.pk}.csv")


class ContainmentPdfView(ApiView):
    """The same as a document to hand to a customer."""

    rights = {"GET": Right.EXPORT}
    content_negotiation_class = OneForm

    @extend_schema(
        responses={(200, "application/pdf"): OpenApiTypes.BINARY, **problems(409)}, operation_id="containment_pdf"
    )
    def get(self, request: Request, containment_id: uuid.UUID) -> HttpResponse:
        containment = selectors.find_containment(containment_id)
        data = report.export_pdf(containment=containment, actor=request.user)
        return _file(data, "application/pdf", f"containment-{containment.pk}.pdf")


def _file(data: bytes, content_type: str, name: str) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-store"}
    return HttpResponse(data, content_type=content_type, headers=headers)
