"""Reviews: what people say about records, how far they agree, and data sets made of it."""

from __future__ import annotations

import uuid
from typing import Any

from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PAGE_PARAMETERS, page_response
from common.api.parsers import JSONParser
from common.api.schema import problems
from common.api.validation import parsed
from common.api.views import ApiView
from common.rights import Right
from inspection.history.api import FILTER_PARAMETERS
from inspection.history.filters import parse_filters
from inspection.judging import selectors
from inspection.models import Review
from inspection.reviews import agreement, documents, reviewed_data, services
from inspection.reviews import selectors as reviews_selectors
from inspection.reviews.serializers import (
    AgreementOutput,
    DatasetOfReviewsOutput,
    FromReviewsInput,
    ReviewInput,
    ReviewOutput,
    ReviewPageOutput,
)
from modelzoo.selectors import find_category
from modelzoo.signatures.requests import api_signature
from modelzoo.signatures.selectors import Act


# ---------------------------------------------------------------- views
class InspectionReviewsView(ApiView):
    """What people said about one record, the last word first."""

    rights = {"GET": Right.READ, "POST": Right.REVIEW}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=PAGE_PARAMETERS,
        responses={200: ReviewPageOutput, **problems()},
        operation_id="inspection_reviews",
    )
    def get(self, request: Request, inspection_id: uuid.UUID) -> Response:
        reviews = reviews_selectors.reviews().filter(inspection=selectors.find_inspection(inspection_id))
        return page_response(reviews, request, documents.review_document)

    @extend_schema(
        request=ReviewInput,
        responses={201: ReviewOutput, **problems(409, 415, 422)},
        operation_id="review",
        examples=[
            OpenApiExample("overruled: the part is good", {"verdict": "good", "comment": "a hair"}, request_only=True),
            OpenApiExample(
                "a defect, with its place",
                {
                    "verdict": "defective",
                    "defect_type": "scratch",
                    "regions": [{"x": 40, "y": 32, "width": 24, "height": 10}],
                    "expected_reviews": 0,
                },
                request_only=True,
            ),
        ],
    )
    def post(self, request: Request, inspection_id: uuid.UUID) -> Response:
        """Confirm or overrule. The record stays as it is; a later review stands beside this one."""
        inspection = selectors.find_inspection(inspection_id)
        fields = parsed(ReviewInput, request.data)
        fields["signature"] = api_signature(request, act=Act.REVIEW, about=inspection, credentials=fields["signature"])
        review = services.record_review(inspection=inspection, actor=request.user, **fields)
        document = documents.review_document(reviews_selectors.find_review(review.pk))
        return Response(document, status=201, headers={"Location": reverse("review", args=[review.pk])})


class ReviewsView(ApiView):
    """Reviews, newest first."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[
            OpenApiParameter("reviewer", str, description="a user's name"),
            OpenApiParameter("verdict", str, enum=["", *Review.Verdict.values]),
            OpenApiParameter(
                "agrees",
                str,
                enum=["", *reviews_selectors.AGREES],
                description="with the model; none: it gave no verdict",
            ),
            OpenApiParameter("category", str),
            OpenApiParameter("since", str, description="a day or a moment; of the review"),
            OpenApiParameter("until", str, description="a day (included) or a moment; of the review"),
            *PAGE_PARAMETERS,
        ],
        responses={200: ReviewPageOutput, **problems()},
        operation_id="reviews",
    )
    def get(self, request: Request) -> Response:
        reviews = reviews_selectors.find_reviews(
            request.query_params, other_names=[page.name for page in PAGE_PARAMETERS]
        )
        return page_response(reviews, request, documents.review_document)


class ReviewView(ApiView):
    """One review."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[OpenApiParameter("review_id", OpenApiTypes.INT64, OpenApiParameter.PATH)],
        responses={200: ReviewOutput, **problems()},
        operation_id="one_review",
    )
    def get(self, request: Request, review_id: str) -> Response:
        return Response(documents.review_document(reviews_selectors.find_review(int(review_id))))


class AgreementView(ApiView):
    """How far people agree with the models, and with one another."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=FILTER_PARAMETERS, responses={200: AgreementOutput, **problems()}, operation_id="agreement"
    )
    def get(self, request: Request) -> Response:
        return Response(agreement.agreement_document(parse_filters(request.query_params, strict=True)))


class FromReviewsView(ApiView):
    """Make a data set of reviewed images."""

    rights = {"POST": Right.TRAIN}
    parser_classes = [JSONParser]

    @extend_schema(
        request=FromReviewsInput,
        responses={200: DatasetOfReviewsOutput, 201: DatasetOfReviewsOutput, **problems(409, 415, 507)},
        operation_id="dataset_from_reviews",
        description="201: a new snapshot; 200: there is one with the same content already, which is answered.",
        examples=[
            OpenApiExample(
                "what November taught",
                {
                    "name": "screw-november",
                    "category": "screw",
                    "filters": {"since": "2026-11-01", "until": "2026-11-30"},
                    "test_share": 0.2,
                },
                request_only=True,
            ),
            OpenApiExample(
                "hard good examples, to extend a version with",
                {"name": "screw-hard", "category": "screw", "include_confirmed_good": False, "test_share": 0},
                request_only=True,
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        fields: dict[str, Any] = parsed(FromReviewsInput, request.data)
        name, category = fields.pop("name"), find_category(fields.pop("category"))
        choice = reviewed_data.Choice(filters=parse_filters(fields.pop("filters")), **fields)
        dataset, created = reviewed_data.dataset_from_reviews(
            name=name, category=category, choice=choice, actor=request.user
        )
        document = reviewed_data.dataset_document(dataset, created=created)
        return Response(
            document, status=201 if created else 200, headers={"Location": reverse("api-dataset", args=[dataset.pk])}
        )
