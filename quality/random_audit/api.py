"""Random audits: plans, closed shifts and their proof, parts to review blind, and the figures."""

from __future__ import annotations

import uuid

from django.http import HttpResponse, HttpResponseBase
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PAGE_PARAMETERS, page_response
from common.api.parsers import JSONParser
from common.api.schema import page_output, problems
from common.api.validation import parsed, parsed_query
from common.api.views import ApiView, OneForm, immutable
from common.rights import Right
from inspection.judging.pictures import for_page
from modelzoo.selectors import find_category
from modelzoo.signatures.requests import api_signature
from modelzoo.signatures.selectors import Act
from quality.random_audit import documents, selectors, services
from quality.random_audit import serializers as shapes

_PLAN_ID = OpenApiParameter("plan_id", OpenApiTypes.INT64, OpenApiParameter.PATH)
_PART_ID = OpenApiParameter("part_id", OpenApiTypes.INT64, OpenApiParameter.PATH)


class SamplingPlansView(ApiView):
    """Every revision of every plan; a new one is in force from the category's next shift on."""

    rights = {"GET": Right.READ, "POST": Right.TUNE}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[shapes.SamplingPlanQuery, *PAGE_PARAMETERS],
        responses={200: page_output(shapes.SamplingPlanOutput), **problems()},
        operation_id="sampling_plans",
    )
    def get(self, request: Request) -> Response:
        query = parsed_query(shapes.SamplingPlanQuery, request)
        plans = selectors.plans_in_force() if query["in_force"] else selectors.plans()
        if query["category"]:
            plans = plans.filter(category__name=query["category"])
        return page_response(plans, request, documents.plan_document)

    @extend_schema(
        request=shapes.SamplingPlanInput,
        responses={201: shapes.SamplingPlanOutput, **problems(409, 413, 415)},
        operation_id="set_sampling_plan",
        examples=[
            OpenApiExample(
                "2 % of each of three shifts, with five rejected parts mixed in",
                request_only=True,
                value={
                    "category": "screw",
                    "percent": 2,
                    "controls": 5,
                    "shift_starts": ["06:00", "14:00", "22:00"],
                    "reason": "agreed with the customer on 3 May",
                },
            )
        ],
    )
    def post(self, request: Request) -> Response:
        fields = parsed(shapes.SamplingPlanInput, request.data)
        plan = services.set_plan(category=find_category(fields.pop("category")), actor=request.user, **fields)
        return Response(
            documents.plan_document(plan), status=201, headers={"Location": reverse("sampling-plan", args=[plan.pk])}
        )


class SamplingPlanView(ApiView):
    """One revision."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[_PLAN_ID], responses={200: shapes.SamplingPlanOutput, **problems()}, operation_id="sampling_plan"
    )
    def get(self, request: Request, plan_id: str) -> Response:
        return Response(documents.plan_document(selectors.find_plan(int(plan_id))))


class AuditedShiftsView(ApiView):
    """The closed shifts, the newest first."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[shapes.AuditedShiftQuery, *PAGE_PARAMETERS],
        responses={200: page_output(shapes.AuditedShiftOutput), **problems()},
        operation_id="audited_shifts",
    )
    def get(self, request: Request) -> Response:
        query = parsed_query(shapes.AuditedShiftQuery, request)
        shifts = selectors.shifts()
        if query["category"]:
            shifts = shifts.filter(category__name=query["category"])
        return page_response(shifts, request, documents.shift_document, ordering=selectors.SHIFT_ORDER)


class AuditedShiftView(ApiView):
    """One shift, with what its audit tells: the share of defective parts among all that passed, with bounds."""

    rights = {"GET": Right.READ}

    @extend_schema(responses={200: shapes.AuditedShiftFiguresOutput, **problems()}, operation_id="audited_shift")
    def get(self, request: Request, shift_id: uuid.UUID) -> Response:
        return Response(documents.shift_with_figures(selectors.find_shift(shift_id)))


class AuditedShiftExportView(ApiView):
    """Parts, seed, draw and decisions of a shift, with which anybody can repeat the draw without the system."""

    rights = {"GET": Right.EXPORT}

    @extend_schema(responses={200: shapes.RandomAuditExportOutput, **problems()}, operation_id="audited_shift_export")
    def get(self, request: Request, shift_id: uuid.UUID) -> Response:
        shift = selectors.find_shift(shift_id)
        name = f"random-audit-{shift.category.name}-{shift.number}.json"
        return Response(
            documents.export_document(shift), headers={"Content-Disposition": f'attachment; filename="{name}"'}
        )


class RandomAuditView(ApiView):
    """What random audits tell of a category, a model version or a threshold, over all their shifts."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[shapes.RandomAuditQuery],
        responses={200: shapes.AuditFiguresOutput, **problems()},
        operation_id="random_audit",
    )
    def get(self, request: Request) -> Response:
        query = parsed_query(shapes.RandomAuditQuery, request)
        figures = selectors.figures_of(
            category=find_category(query["category"]) if query["category"] else None,
            version_id=query.get("model_version"),
            threshold_id=query.get("threshold"),
            since=query.get("since"),
        )
        return Response(documents.figures_document(figures))


class BlindReviewsView(ApiView):
    """The parts that the caller can review blind, the oldest shift first: neither inspected nor reviewed by them."""

    rights = {"GET": Right.REVIEW}

    @extend_schema(
        parameters=PAGE_PARAMETERS,
        responses={200: page_output(shapes.BlindPartOutput), **problems()},
        operation_id="blind_reviews",
    )
    def get(self, request: Request) -> Response:
        return page_response(
            selectors.parts_blind_for(request.user), request, documents.blind_document, ordering=selectors.QUEUE_ORDER
        )


class BlindReviewView(ApiView):
    """Decide on a part, once; the answer tells what the model said."""

    rights = {"POST": Right.REVIEW}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[_PART_ID],
        request=shapes.BlindDecisionInput,
        responses={201: shapes.BlindDecisionOutput, **problems(409, 415, 422)},
        operation_id="review_blind",
    )
    def post(self, request: Request, part_id: str) -> Response:
        part = selectors.find_part(int(part_id))
        fields = parsed(shapes.BlindDecisionInput, request.data)
        fields["signature"] = api_signature(
            request, act=Act.REVIEW, about=part.inspection, credentials=fields["signature"]
        )
        services.decide(part=part, actor=request.user, **fields)
        return Response(documents.decision_document(selectors.find_part(part.pk)), status=201)


class BlindReviewImageView(ApiView):
    """The picture of a part, at an address that does not tell which record it is."""

    rights = {"GET": Right.REVIEW}
    content_negotiation_class = OneForm

    @extend_schema(
        parameters=[_PART_ID],
        responses={
            (200, "image/*"): OpenApiResponse(OpenApiTypes.BINARY, description="as browsers show it"),
            **problems(410),
        },
    )
    def get(self, request: Request, part_id: str) -> HttpResponseBase:
        part = selectors.find_part(int(part_id))

        def make() -> HttpResponse:
            picture = for_page(part.inspection)
            return HttpResponse(picture.data, content_type=picture.media_type)

        return immutable(request, f"blind {part.pk}", make)
