"""What thresholds promised, beside what came."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PAGE_PARAMETERS, page_response
from common.api.schema import page_output, problems
from common.api.views import ApiView
from common.rights import Right
from quality.promises import documents, selectors
from quality.promises.serializers import PromiseOutput


class PromisesView(ApiView):
    """Thresholds that were applied on their page, newest first."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=PAGE_PARAMETERS,
        responses={200: page_output(PromiseOutput), **problems()},
        operation_id="threshold_promises",
    )
    def get(self, request: Request) -> Response:
        return page_response(selectors.promises(), request, documents.promise_document)


class PromiseView(ApiView):
    """One of them: so far, or as it was kept when its days were over."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[OpenApiParameter("threshold_id", OpenApiTypes.INT64, OpenApiParameter.PATH)],
        responses={200: PromiseOutput, **problems()},
        operation_id="threshold_promise",
    )
    def get(self, request: Request, threshold_id: str) -> Response:
        return Response(documents.promise_document(selectors.find_promise(int(threshold_id))))
