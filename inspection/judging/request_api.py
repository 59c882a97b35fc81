"""`/api/requests`: what became of the request to judge an image, and the same again with the image that was kept."""

from __future__ import annotations

import uuid

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.schema import problems
from common.api.validation import NoInput, parsed
from common.api.views import ApiView
from common.rights import Right
from inspection.judging import documents, selectors, services
from inspection.judging.idempotency import REPLAYED
from inspection.judging.idempotency_schema import REPLAY
from inspection.judging.serializers import InspectionOutput, RequestOutput


class RequestView(ApiView):
    """Whether an image that was sent has a record, may get one yet, or never will."""

    rights = {"GET": (Right.READ, Right.INSPECT)}

    @extend_schema(responses={200: RequestOutput, **problems()}, operation_id="request")
    def get(self, request: Request, request_id: uuid.UUID) -> Response:
        return Response(documents.request_document(selectors.find_request(request_id, actor=request.user)))


class InspectAgainView(ApiView):
    """Judge the kept image of a request that ended without a record. Asked for twice, it is judged once."""

    rights = {"POST": Right.INSPECT}

    @extend_schema(
        request=None,
        responses={200: InspectionOutput, **problems(409, 422)},
        parameters=[OpenApiParameter("anomaly_map", str, enum=documents.MAP_FORMS, default="url"), REPLAY],
        examples=[OpenApiExample("nothing more is needed", value={}, request_only=True)],
        operation_id="inspect_again",
    )
    def post(self, request: Request, request_id: uuid.UUID) -> Response:
        parsed(NoInput, request.data)
        form = documents.check_map_form(request.query_params.get("anomaly_map", "url"))
        ended = selectors.find_request(request_id, actor=request.user)
        inspection = services.inspect_again(request_id=ended.pk, source="api", actor=request.user)
        document = documents.inspection_document(inspection, anomaly_map=form)
        return Response(document, headers={REPLAYED: "true"} if inspection.replayed else None)
