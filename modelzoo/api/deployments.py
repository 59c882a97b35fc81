"""Loading, promoting and rolling back: what is asked for here is answered once a worker has done it, or could not."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PAGE_PARAMETERS, page_response
from common.api.parsers import JSONParser
from common.api.schema import problems
from common.api.validation import parsed, parsed_query
from common.api.views import ApiView
from common.rights import Right
from modelzoo import documents, services
from modelzoo.api import serializers
from modelzoo.api.views import VERSION_ID
from modelzoo.loading.deployments import await_deployment
from modelzoo.models import Deployment
from modelzoo.selectors import find_category, find_version
from modelzoo.signatures.requests import api_signature
from modelzoo.signatures.selectors import Act

_DEPLOYMENT_ID = OpenApiParameter("deployment_id", OpenApiTypes.INT64, OpenApiParameter.PATH)
_CATEGORY = OpenApiParameter("name", OpenApiTypes.STR, OpenApiParameter.PATH)
_PROBLEMS = problems(409, 413, 415, 422)


def _record(deployment: Deployment) -> dict[str, Any]:
    return documents.deployment_record(documents.find_deployment(deployment.pk))


class DeploymentsView(ApiView):
    """The acts of loading, newest first: which version served which category, since when, by whom."""

    rights = {"GET": Right.READ, "POST": Right.DEPLOY}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[serializers.DeploymentListInput, *PAGE_PARAMETERS],
        responses={200: serializers.DeploymentPageOutput, **problems()},
        operation_id="deployments",
    )
    def get(self, request: Request) -> Response:
        filters = parsed_query(serializers.DeploymentListInput, request)
        return page_response(documents.deployments(**filters), request, documents.deployment_record)

    @extend_schema(
        request=serializers.DeploymentInput,
        responses={201: serializers.DeploymentOutput, **_PROBLEMS},
        operation_id="deploy",
        examples=[
            OpenApiExample(
                "a version with a threshold of its own",
                value={"model_version": 7, "threshold": 21.5, "threshold_reason": "as on line 2"},
                request_only=True,
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Load a version and put it in force, as `load_model` does."""
        fields = parsed(serializers.DeploymentInput, request.data)
        version = find_version(reference=fields.pop("model_version"))
        fields["signature"] = api_signature(request, act=Act.PROMOTION, about=version, credentials=fields["signature"])
        deployment = services.request_deployment(version=version, actor=request.user, **fields)
        deployment = await_deployment(deployment=deployment)
        return Response(_record(deployment), status=201, headers={"Location": f"/api/deployments/{deployment.pk}"})


class DeploymentView(ApiView):
    """One act of loading, and what became of it."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[_DEPLOYMENT_ID],
        responses={200: serializers.DeploymentOutput, **problems()},
        operation_id="deployment",
    )
    def get(self, request: Request, deployment_id: str) -> Response:
        return Response(documents.deployment_record(documents.find_deployment(int(deployment_id))))


class PromotionView(ApiView):
    """Load a version and put it in production; the version that was is archived."""

    rights = {"POST": Right.DEPLOY}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[VERSION_ID],
        request=serializers.PromotionInput,
        responses={200: serializers.DeploymentOutput, **_PROBLEMS},
        operation_id="promote_model_version",
        examples=[OpenApiExample("a reason", value={"reason": "catches the bent pins of lot 4711"}, request_only=True)],
    )
    def post(self, request: Request, version_id: str) -> Response:
        fields = parsed(serializers.PromotionInput, request.data)
        version = find_version(reference=version_id)
        fields["signature"] = api_signature(request, act=Act.PROMOTION, about=version, credentials=fields["signature"])
        deployment = services.request_promotion(version=version, actor=request.user, **fields)
        return Response(_record(await_deployment(deployment=deployment)))


class RollbackView(ApiView):
    """Load the version that served a category before the present one; the present one is archived."""

    rights = {"POST": Right.DEPLOY}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[_CATEGORY],
        request=serializers.SignedReasonInput,
        responses={200: serializers.DeploymentOutput, **_PROBLEMS},
        operation_id="roll_back_category",
        examples=[OpenApiExample("a reason", value={"reason": "rejects half of lot 4712"}, request_only=True)],
    )
    def post(self, request: Request, name: str) -> Response:
        fields = parsed(serializers.SignedReasonInput, request.data)
        category = find_category(name)
        signature = api_signature(request, act=Act.ROLLBACK, about=category, credentials=fields["signature"])
        deployment = services.request_rollback(
            category=category, reason=fields["reason"], actor=request.user, signature=signature
        )
        return Response(_record(await_deployment(deployment=deployment)))
