"""Reviews: what people say about records, how far they agree, and data sets made of it."""

from __future__ import annotations

import uuid
from typing import Any

from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.base import PAGE_PARAMETERS, ApiView, page_output, page_response, parsed, problems
from common.api.parsers import JSONParser
from common.rights import Right
from inspection.history.api import FILTER_PARAMETERS
from inspection.history.filters import parse_filters
from inspection.judging import selectors
from inspection.models import RECORDED_VERDICTS, Inspection, Review
from inspection.reviews import agreement, reviewed_data
from inspection.reviews import services as reviews
from modelzoo.api.fields import FiniteField, JsonObject
from modelzoo.selectors import find_category
from training.api.serializers import ImportedDatasetOutput

_LARGEST_SIDE = 2**31 - 1


# ---------------------------------------------------------------- shapes
class MarkedRegion(serializers.Serializer):
    """A box in pixels of the image, after its EXIF orientation; it lies in the image."""

    x = serializers.IntegerField(min_value=0, max_value=_LARGEST_SIDE)
    y = serializers.IntegerField(min_value=0, max_value=_LARGEST_SIDE)
    width = serializers.IntegerField(min_value=1, max_value=_LARGEST_SIDE)
    height = serializers.IntegerField(min_value=1, max_value=_LARGEST_SIDE)


class ReviewInput(serializers.Serializer):
    verdict = serializers.ChoiceField(choices=Review.Verdict.choices)
    defect_type = serializers.CharField(
        required=False,
        allow_blank=True,
        trim_whitespace=False,
        default="",
        max_length=reviews.DEFECT_TYPE_MOST,
        help_text="of a defective part; the class it gets in data sets",
    )
    comment = serializers.CharField(
        required=False,
        allow_blank=True,
        trim_whitespace=False,
        default="",
        max_length=reviews.COMMENT_MOST,
        help_text="for people",
    )
    regions = serializers.ListField(
        child=MarkedRegion(),
        required=False,
        default=list,
        max_length=reviews.REGIONS_MOST,
        help_text="where the defects are; masks in data sets",
    )
    expected_reviews = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        min_value=0,
        max_value=_LARGEST_SIDE,
        help_text="how many reviews there were when you looked; 409 review_outdated where there are others by now",
    )


class ReviewOutput(serializers.Serializer):
    review_id = serializers.IntegerField()
    inspection_id = serializers.UUIDField()
    inspection_url = serializers.CharField()
    category = serializers.CharField()
    outcome = serializers.ChoiceField(choices=Inspection.Outcome.choices, help_text="what the model said")
    number = serializers.IntegerField(help_text="of the reviews of this record, from 1")
    verdict = serializers.ChoiceField(choices=RECORDED_VERDICTS, help_text="withdrawn: the undo of the only review")
    agrees = serializers.BooleanField(allow_null=True, help_text="with the model; null where it gave no verdict")
    defect_type = serializers.CharField(allow_blank=True)
    comment = serializers.CharField(allow_blank=True)
    regions = MarkedRegion(many=True)
    undoes = serializers.IntegerField(allow_null=True, help_text="the review that this one takes back; null: none")
    reviewer = serializers.CharField()
    created_at = serializers.DateTimeField()


ReviewPageOutput = page_output(ReviewOutput)


class RateOutput(serializers.Serializer):
    count = serializers.IntegerField()
    of = serializers.IntegerField()
    rate = serializers.FloatField(allow_null=True, help_text="null of nothing")
    interval = serializers.ListField(
        child=serializers.FloatField(), allow_null=True, help_text="95 %, exact (Clopper-Pearson)"
    )


class VerdictCountsOutput(serializers.Serializer):
    good = serializers.IntegerField(help_text="as people said last")
    defective = serializers.IntegerField()


class AgreementConfusionOutput(serializers.Serializer):
    """By the model's outcome."""

    good = VerdictCountsOutput()
    defective = VerdictCountsOutput()
    not_comparable = VerdictCountsOutput()


class DefectTypeAgreementOutput(serializers.Serializer):
    defect_type = serializers.CharField(allow_blank=True, help_text="empty: nobody named it")
    recall = RateOutput(help_text="of those that were scored: how many the model called defective")
    not_comparable = serializers.IntegerField()


class ModelAgreementOutput(serializers.Serializer):
    confusion = AgreementConfusionOutput()
    agreement = RateOutput()
    false_rejects = RateOutput(help_text="of what the model rejected: what people called good")
    escapes = RateOutput(help_text="of what the model passed: what people called defective")
    defect_types = DefectTypeAgreementOutput(many=True)


class ReviewerPairOutput(serializers.Serializer):
    reviewers = serializers.ListField(child=serializers.CharField(), min_length=2, max_length=2)
    agreement = RateOutput()
    cohen_kappa = serializers.FloatField(allow_null=True)


class ReviewerAgreementOutput(serializers.Serializer):
    records = serializers.IntegerField(help_text="that two or more people reviewed")
    unanimous = RateOutput()
    agreement = serializers.FloatField(allow_null=True, help_text="chance that two people say the same of one part")
    fleiss_kappa = serializers.FloatField(allow_null=True, help_text="agreement beyond chance; null where undefined")
    pairs = ReviewerPairOutput(many=True, help_text="at most 50, those with the most parts first")


class AgreementOutput(serializers.Serializer):
    filters = JsonObject()
    records = serializers.IntegerField(help_text="that were reviewed")
    model = ModelAgreementOutput()
    people = ReviewerAgreementOutput()


class FromReviewsInput(serializers.Serializer):
    name = serializers.CharField(max_length=100)
    category = serializers.CharField(max_length=100)
    filters = JsonObject(required=False, default=dict, help_text="of the history, as for GET inspections")
    test_share = FiniteField(
        required=False,
        default=reviewed_data.TEST_SHARE,
        min_value=0,
        max_value=1,
        help_text="of the good parts; which ones is decided by the image's hash, for good",
    )
    include_confirmed_good = serializers.BooleanField(
        required=False, default=True, help_text="also good parts that no model had rejected"
    )
    include_contested = serializers.BooleanField(
        required=False, default=False, help_text="also where reviews differ; the last word counts"
    )


class DatasetOfReviewsOutput(ImportedDatasetOutput):
    """`skipped`: the records that were left out, and why."""

    made_from = JsonObject(help_text="what was asked for")


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
        found = agreement.reviews().filter(inspection=selectors.find_inspection(inspection_id))
        return page_response(found, request, agreement.review_document)

    @extend_schema(
        request=ReviewInput,
        responses={201: ReviewOutput, **problems(409, 415)},
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
        given = parsed(ReviewInput, request.data)
        review = reviews.record_review(inspection=inspection, actor=request.user, **given)
        document = agreement.review_document(agreement.find_review(review.pk))
        return Response(document, status=201, headers={"Location": reverse("review", args=[review.pk])})


class ReviewsView(ApiView):
    """Reviews, newest first."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[
            OpenApiParameter("reviewer", str, description="a user's name"),
            OpenApiParameter("verdict", str, enum=["", *Review.Verdict.values]),
            OpenApiParameter(
                "agrees", str, enum=["", *agreement.AGREES], description="with the model; none: it gave no verdict"
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
        found = agreement.find_reviews(request.query_params, beside=[page.name for page in PAGE_PARAMETERS])
        return page_response(found, request, agreement.review_document)


class ReviewView(ApiView):
    """One review."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[OpenApiParameter("review_id", OpenApiTypes.INT64, OpenApiParameter.PATH)],
        responses={200: ReviewOutput, **problems()},
        operation_id="one_review",
    )
    def get(self, request: Request, review_id: str) -> Response:
        return Response(agreement.review_document(agreement.find_review(int(review_id))))


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
        given: dict[str, Any] = parsed(FromReviewsInput, request.data)
        name, category = given.pop("name"), find_category(given.pop("category"))
        choice = reviewed_data.Choice(filters=parse_filters(given.pop("filters")), **given)
        dataset, created = reviewed_data.dataset_from_reviews(
            name=name, category=category, choice=choice, actor=request.user
        )
        document = reviewed_data.made_document(dataset, created=created)
        return Response(
            document, status=201 if created else 200, headers={"Location": reverse("api-dataset", args=[dataset.pk])}
        )
