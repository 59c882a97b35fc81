"""Canaries: a station is given another version, compared with production, and given back."""

from __future__ import annotations

from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PAGE_PARAMETERS, page_response
from common.api.parsers import JSONParser
from common.api.schema import page_output, problems
from common.api.validation import parsed, parsed_query
from common.api.views import ApiView
from common.rights import Right
from modelzoo import services
from modelzoo.api.serializers import ReasonInput
from modelzoo.loading.deployments import await_deployment
from modelzoo.selectors import find_version
from modelzoo.signatures.requests import api_signature
from modelzoo.signatures.selectors import Act
from rollout.canaries import documents, selectors
from rollout.canaries import serializers as shapes

_ID = OpenApiParameter("deployment_id", OpenApiTypes.INT64, OpenApiParameter.PATH)


class CanariesView(ApiView):
    """The canaries, newest first."""

    rights = {"GET": Right.READ, "POST": Right.DEPLOY}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[shapes.CanaryListInput, *PAGE_PARAMETERS],
        responses={200: page_output(shapes.CanaryOutput), **problems()},
        operation_id="canaries",
    )
    def get(self, request: Request) -> Response:
        filters = parsed_query(shapes.CanaryListInput, request)
        return page_response(selectors.canaries(**filters), request, documents.canary_document)

    @extend_schema(
        request=shapes.CanaryInput,
        responses={201: shapes.FullCanaryOutput, **problems(409, 413, 415)},
        operation_id="start_canary",
        examples=[
            OpenApiExample(
                "station 4", value={"model_version": 9, "station": "4", "reason": "trial of May"}, request_only=True
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Let a version judge the images of one station; answered once a worker holds it, or could not."""
        fields = parsed(shapes.CanaryInput, request.data)
        version = find_version(reference=fields.pop("model_version"))
        fields["signature"] = api_signature(request, act=Act.PROMOTION, about=version, credentials=fields["signature"])
        deployment = await_deployment(deployment=services.request_canary(version=version, actor=request.user, **fields))
        return Response(
            documents.full_canary_document(selectors.find_canary(deployment.pk)),
            status=201,
            headers={"Location": reverse("api-canary", args=[deployment.pk])},
        )


class CanaryView(ApiView):
    """What a canary judged, beside production."""

    rights = {"GET": Right.READ}

    @extend_schema(parameters=[_ID], responses={200: shapes.FullCanaryOutput, **problems()}, operation_id="canary")
    def get(self, request: Request, deployment_id: str) -> Response:
        return Response(documents.full_canary_document(selectors.find_canary(int(deployment_id))))


class EndView(ApiView):
    """Give a station back to production, from its next image on."""

    rights = {"POST": Right.DEPLOY}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[_ID],
        request=ReasonInput,
        responses={200: shapes.FullCanaryOutput, **problems(409, 413, 415)},
        operation_id="end_canary",
        examples=[OpenApiExample("a reason", value={"reason": "rejects half of lot 4712"}, request_only=True)],
    )
    def post(self, request: Request, deployment_id: str) -> Response:
        fields = parsed(ReasonInput, request.data)
        canary = selectors.find_canary(int(deployment_id))
        services.end_canary(canary=canary, reason=fields["reason"], actor=request.user)
        return Response(documents.full_canary_document(selectors.find_canary(canary.pk)))
