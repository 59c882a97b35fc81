"""Challengers: started beside production, compared with it, stopped; and their disagreements."""

from __future__ import annotations

import uuid

from django.http import HttpResponseBase, StreamingHttpResponse
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PAGE_PARAMETERS, page_response
from common.api.parsers import JSONParser
from common.api.schema import page_output, problems
from common.api.validation import parsed
from common.api.views import ApiView, OneForm
from common.rights import Right
from modelzoo.api.serializers import ReasonInput
from modelzoo.selectors import find_version
from rollout.challengers import documents, selectors, services
from rollout.challengers import serializers as shapes

_RESULT_PAGE = page_output(shapes.ChallengerResultOutput)
_RESULT = OpenApiParameter("result_id", OpenApiTypes.INT64, OpenApiParameter.PATH)


class ChallengersView(ApiView):
    """The challengers, newest first."""

    rights = {"GET": Right.READ, "POST": Right.TUNE}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[shapes.ChallengerListInput, *PAGE_PARAMETERS],
        responses={200: page_output(shapes.ChallengerOutput), **problems()},
        operation_id="challengers",
    )
    def get(self, request: Request) -> Response:
        category = parsed(shapes.ChallengerListInput, request.query_params)["category"]
        rows = selectors.challengers(category=category)
        return page_response(rows, request, documents.challenger_document, ordering=selectors.CHALLENGER_ORDER)

    @extend_schema(
        request=shapes.ChallengerInput,
        responses={202: shapes.FullChallengerOutput, **problems(409, 413, 415)},
        operation_id="start_challenger",
        examples=[
            OpenApiExample(
                "the next 500 images",
                value={"model_version": 9, "reason": "trained with the reviews of May", "max_images": 500},
                request_only=True,
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Let a candidate score what production judges from now on. It decides nothing."""
        fields = parsed(shapes.ChallengerInput, request.data)
        version = find_version(reference=fields.pop("model_version"))
        started = services.start_challenger(version=version, actor=request.user, **fields)
        return Response(
            documents.full_challenger_document(selectors.find_challenger(started.pk)),
            status=202,
            headers={"Location": reverse("api-challenger", args=[started.pk])},
        )


class ChallengerView(ApiView):
    """Both versions beside each other on the same live images."""

    rights = {"GET": Right.READ}

    @extend_schema(responses={200: shapes.FullChallengerOutput, **problems()}, operation_id="challenger")
    def get(self, request: Request, challenger_id: uuid.UUID) -> Response:
        return Response(documents.full_challenger_document(selectors.find_challenger(challenger_id)))


class StopView(ApiView):
    """End a challenger; its results stay."""

    rights = {"POST": Right.TUNE}
    parser_classes = [JSONParser]

    @extend_schema(
        request=ReasonInput,
        responses={200: shapes.FullChallengerOutput, **problems(409, 413, 415)},
        operation_id="stop_challenger",
        examples=[OpenApiExample("a reason", value={"reason": "enough images"}, request_only=True)],
    )
    def post(self, request: Request, challenger_id: uuid.UUID) -> Response:
        fields = parsed(ReasonInput, request.data)
        challenger = selectors.find_challenger(challenger_id)
        services.stop_challenger(challenger=challenger, reason=fields["reason"], actor=request.user)
        return Response(documents.full_challenger_document(selectors.find_challenger(challenger_id)))


class ResultsView(ApiView):
    """What a challenger said about each image, the last one first."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=PAGE_PARAMETERS,
        responses={200: _RESULT_PAGE, **problems()},
        operation_id="challenger_results",
    )
    def get(self, request: Request, challenger_id: uuid.UUID) -> Response:
        rows = selectors.results(selectors.find_challenger(challenger_id))
        return page_response(rows, request, documents.result_document)


class DisagreementsView(ApiView):
    """The images about which both versions disagree, those farthest apart first."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[shapes.DisagreementListInput, *PAGE_PARAMETERS],
        responses={200: _RESULT_PAGE, **problems()},
        operation_id="challenger_disagreements",
    )
    def get(self, request: Request, challenger_id: uuid.UUID) -> Response:
        looked_at = parsed(shapes.DisagreementListInput, request.query_params)["looked_at"]
        rows = selectors.results(selectors.find_challenger(challenger_id), disagreements=True, looked_at=looked_at)
        return page_response(rows, request, documents.result_document, ordering=selectors.DISAGREEMENT_ORDER)


class MarkView(ApiView):
    """Say that one looked at a disagreement, without reviewing the record."""

    rights = {"POST": Right.REVIEW}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[_RESULT],
        request=shapes.MarkInput,
        responses={201: shapes.ChallengerResultOutput, **problems(409, 413, 415)},
        operation_id="mark_disagreement",
        examples=[OpenApiExample("a comment", value={"comment": "dust on the lens"}, request_only=True)],
    )
    def post(self, request: Request, result_id: str) -> Response:
        fields = parsed(shapes.MarkInput, request.data)
        result = selectors.find_result(int(result_id))
        services.mark_disagreement(result=result, actor=request.user, comment=fields["comment"])
        return Response(documents.result_document(selectors.find_result(result.pk)), status=201)


class CsvView(ApiView):
    """All results as a CSV file that opens in a spreadsheet."""

    rights = {"GET": Right.EXPORT}
    content_negotiation_class = OneForm

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR, **problems()}, operation_id="challenger_csv")
    def get(self, request: Request, challenger_id: uuid.UUID) -> HttpResponseBase:
        challenger = selectors.find_challenger(challenger_id)
        name = f"challenger-{challenger.pk}.csv"
        return StreamingHttpResponse(
            services.export_csv(challenger=challenger, actor=request.user),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-store"},
        )
