"""The review queue of a category: what comes next, what is said of it, and how many a shift reviews."""

from __future__ import annotations

from django.contrib.auth.models import User
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.parsers import JSONParser
from common.api.schema import problems
from common.api.validation import parsed
from common.api.views import ApiView
from common.rights import Right
from modelzoo.selectors import find_category
from modelzoo.signatures.requests import api_signature
from modelzoo.signatures.selectors import Act
from quality.random_audit.selectors import review_queue as blind_queue
from quality.review_queue import documents, selectors, services
from quality.review_queue import serializers as shapes

_CATEGORY = OpenApiParameter("name", OpenApiTypes.STR, OpenApiParameter.PATH)
_CARD_ID = OpenApiParameter("card_id", OpenApiTypes.INT64, OpenApiParameter.PATH)
_SHOWN = 50


class ReviewQueueView(ApiView):
    """How far the shift is, and the parts that teach most; nothing is reserved by looking."""

    rights = {"GET": Right.REVIEW}

    @extend_schema(
        parameters=[_CATEGORY],
        responses={200: shapes.ReviewQueueOutput, **problems(409)},
        operation_id="review_queue",
    )
    def get(self, request: Request, name: str) -> Response:
        category = find_category(name)
        places = selectors.ranked(category, request.user)[:_SHOWN]
        return Response(
            {
                "progress": documents.progress_document(category),
                "blind": blind_queue(request.user).filter(shift__category=category).count(),
                "records": [documents.place_document(place) for place in places],
            }
        )


class NextCardView(ApiView):
    """Take the next part: it is the caller's for five minutes, and nobody else is given it meanwhile."""

    rights = {"POST": Right.REVIEW}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[_CATEGORY],
        request=None,
        responses={200: shapes.NextCardOutput, **problems(409)},
        operation_id="next_review",
    )
    def post(self, request: Request, name: str) -> Response:
        category = find_category(name)
        reservation = services.take_next(category=category, actor=request.user)
        return Response(documents.next_document(category, reservation))


class QueueCardView(ApiView):
    """Say what the part is, once."""

    rights = {"POST": Right.REVIEW}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[_CARD_ID],
        request=shapes.QueueDecisionInput,
        responses={201: shapes.QueueDecisionOutput, **problems(409, 413, 415, 422)},
        operation_id="decide_review",
    )
    def post(self, request: Request, card_id: str) -> Response:
        fields = parsed(shapes.QueueDecisionInput, request.data)
        assert isinstance(request.user, User), "the right says so"
        fields["signature"] = api_signature(
            request, act=Act.REVIEW, about=request.user, credentials=fields["signature"]
        )
        decision = services.decide(reservation_id=int(card_id), actor=request.user, **fields)
        return Response(documents.decision_document(decision), status=201)


class ReviewBudgetView(ApiView):
    """How many parts of a category people review in a shift."""

    rights = {"GET": Right.READ, "PUT": Right.TUNE}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[_CATEGORY],
        responses={200: shapes.ReviewBudgetOutput, **problems()},
        operation_id="review_budget",
    )
    def get(self, request: Request, name: str) -> Response:
        return Response(documents.budget_document(find_category(name)))

    @extend_schema(
        parameters=[_CATEGORY],
        request=shapes.ReviewBudgetInput,
        responses={200: shapes.ReviewBudgetOutput, **problems(413, 415)},
        operation_id="set_review_budget",
        examples=[
            OpenApiExample(
                "40 parts in each of two shifts",
                request_only=True,
                value={"per_shift": 40, "shift_starts": ["06:00", "18:00"], "reason": "two inspectors per shift"},
            )
        ],
    )
    def put(self, request: Request, name: str) -> Response:
        fields = parsed(shapes.ReviewBudgetInput, request.data)
        category = find_category(name)
        services.set_budget(category=category, actor=request.user, **fields)
        return Response(documents.budget_document(category))
