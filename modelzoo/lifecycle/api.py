"""Approving a version, and the promotion gates of a category."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.parsers import JSONParser
from common.api.schema import problems
from common.api.validation import parsed
from common.api.views import ApiView
from common.rights import Right
from modelzoo.api.serializers import SignedReasonInput
from modelzoo.api.views import VERSION_ID
from modelzoo.lifecycle import documents, serializers, services
from modelzoo.lifecycle.selectors import gates_in_force
from modelzoo.selectors import find_category, find_version
from modelzoo.signatures.requests import api_signature
from modelzoo.signatures.selectors import Act

_CATEGORY = OpenApiParameter("name", OpenApiTypes.STR, OpenApiParameter.PATH)
_RELEASE: dict[Any, Any] = {200: serializers.ReleaseOutput, **problems(409, 413, 415, 422)}


class PromotionGatesView(ApiView):
    """What a version of a category must show before it may go into production."""

    rights = {"GET": Right.READ, "PUT": Right.DEPLOY}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[_CATEGORY],
        responses={200: serializers.PromotionGatesOutput, **problems()},
        operation_id="promotion_gates",
    )
    def get(self, request: Request, name: str) -> Response:
        return Response(documents.gates_document(find_category(name)))

    @extend_schema(
        parameters=[_CATEGORY],
        request=serializers.PromotionGatesInput,
        responses={200: serializers.PromotionGatesOutput, **problems(413, 415)},
        operation_id="set_promotion_gates",
        examples=[
            OpenApiExample(
                "95 of 100 defects, 5 of 100 good parts",
                value={
                    "dataset_name": "disc",
                    "min_recall": 0.95,
                    "max_false_reject_rate": 0.05,
                    "reason": "customer agreement of May",
                },
                request_only=True,
            )
        ],
    )
    def put(self, request: Request, name: str) -> Response:
        fields = parsed(serializers.PromotionGatesInput, request.data)
        category, reason = find_category(name), fields.pop("reason")
        gates = replace(gates_in_force(category.pk), **fields)
        services.set_promotion_gates(category=category, gates=gates, reason=reason, actor=request.user)
        return Response(documents.gates_document(category))


class ReleaseView(ApiView):
    """Whether a version may go into production: its approval, and what it shows at each gate."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[VERSION_ID],
        responses={200: serializers.ReleaseOutput, **problems()},
        operation_id="model_version_release",
    )
    def get(self, request: Request, version_id: str) -> Response:
        return Response(documents.release_document(find_version(reference=version_id)))


class ApproveView(ApiView):
    """Vouch for a version: a candidate is approved then."""

    rights = {"POST": Right.DEPLOY}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[VERSION_ID],
        request=SignedReasonInput,
        responses=_RELEASE,
        operation_id="approve_model_version",
        examples=[OpenApiExample("a reason", value={"reason": "figures of the line trial"}, request_only=True)],
    )
    def post(self, request: Request, version_id: str) -> Response:
        fields = parsed(SignedReasonInput, request.data)
        version = find_version(reference=version_id)
        signature = api_signature(request, act=Act.APPROVAL, about=version, credentials=fields["signature"])
        services.approve_version(version=version, reason=fields["reason"], actor=request.user, signature=signature)
        return Response(documents.release_document(version))


class WithdrawApprovalView(ApiView):
    """Take an approval back: what was approved is a candidate again."""

    rights = {"POST": Right.DEPLOY}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[VERSION_ID],
        request=SignedReasonInput,
        responses=_RELEASE,
        operation_id="withdraw_approval_of_model_version",
        examples=[OpenApiExample("a reason", value={"reason": "the trial was on another lamp"}, request_only=True)],
    )
    def post(self, request: Request, version_id: str) -> Response:
        fields = parsed(SignedReasonInput, request.data)
        version = find_version(reference=version_id)
        signature = api_signature(request, act=Act.APPROVAL, about=version, credentials=fields["signature"])
        services.withdraw_approval(version=version, reason=fields["reason"], actor=request.user, signature=signature)
        return Response(documents.release_document(version))
