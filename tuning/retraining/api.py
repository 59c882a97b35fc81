"""Training again with what was reviewed, and two versions on the same images."""

from __future__ import annotations

import uuid

from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PAGE_PARAMETERS, page_response
from common.api.parsers import JSONParser
from common.api.schema import page_output, problems
from common.api.validation import parsed, parsed_query
from common.api.views import ApiView
from common.rights import Right
from modelzoo.selectors import find_category, find_version
from tuning.retraining import documents, selectors, services
from tuning.retraining import serializers as shapes

_CATEGORY = OpenApiParameter("name", OpenApiTypes.STR, OpenApiParameter.PATH)
_ORDER = ("-created_at", "-id")


class RetrainView(ApiView):
    """Train again with production's configuration and the reviewed images; then compare with production."""

    rights = {"POST": Right.TRAIN}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[_CATEGORY],
        request=None,
        responses={202: shapes.RetrainingOutput, **problems(409)},
        operation_id="retrain",
    )
    def post(self, request: Request, name: str) -> Response:
        retraining = services.retrain(category=find_category(name), actor=request.user)
        document = documents.retraining_document(retraining)
        return Response(document, status=202, headers={"Location": document["run_url"]})


class ComparisonsView(ApiView):
    """Comparisons with production, newest first; a new one of a candidate with what is in production."""

    rights = {"GET": Right.READ, "POST": Right.TUNE}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[shapes.ComparisonQuery, *PAGE_PARAMETERS],
        responses={200: page_output(shapes.ComparisonOutput), **problems()},
        operation_id="comparisons",
    )
    def get(self, request: Request) -> Response:
        query = parsed_query(shapes.ComparisonQuery, request)
        rows = selectors.comparisons()
        if "model_version" in query:
            rows = rows.filter(candidate=query["model_version"])
        return page_response(rows, request, documents.comparison_document, ordering=_ORDER)

    @extend_schema(
        request=shapes.ComparisonInput,
        responses={202: shapes.ComparisonOutput, **problems(409, 413, 415)},
        operation_id="start_comparison",
    )
    def post(self, request: Request) -> Response:
        fields = parsed(shapes.ComparisonInput, request.data)
        made = services.request_comparison(
            candidate=find_version(reference=fields["model_version"]), actor=request.user
        )
        document = documents.comparison_document(selectors.find_comparison(made.pk))
        return Response(document, status=202, headers={"Location": reverse("api-comparison", args=[made.pk])})


class ComparisonView(ApiView):
    """One of them, with its figures once it is finished."""

    rights = {"GET": Right.READ}

    @extend_schema(responses={200: shapes.ComparisonOutput, **problems()}, operation_id="comparison")
    def get(self, request: Request, comparison_id: uuid.UUID) -> Response:
        return Response(documents.comparison_document(selectors.find_comparison(comparison_id)))


class ComparisonImagesView(ApiView):
    """The images of which the two versions say something else."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=PAGE_PARAMETERS,
        responses={200: page_output(shapes.ComparedImageOutput), **problems()},
        operation_id="comparison_images",
    )
    def get(self, request: Request, comparison_id: uuid.UUID) -> Response:
        rows = selectors.differing(selectors.find_comparison(comparison_id))
        return page_response(rows, request, documents.image_document, ordering=("id",))
