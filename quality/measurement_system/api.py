"""Measurement studies: started, judged blind, and their signed results."""

from __future__ import annotations

import uuid

from django.http import HttpResponse
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.selectors import find_user
from common.api.pagination import PAGE_PARAMETERS, page_response
from common.api.parsers import JSONParser
from common.api.schema import page_output, problems
from common.api.validation import parsed
from common.api.views import ApiView, OneForm
from common.errors import NotFound
from common.rights import Right
from inspection.judging.pictures import for_page
from modelzoo.selectors import find_category
from quality.measurement_system import documents, report, selectors, services
from quality.measurement_system import serializers as shapes

_ORDER = ("-created_at", "-id")


class MeasurementStudiesView(ApiView):
    """The studies, newest first."""

    rights = {"GET": Right.READ, "POST": Right.TUNE}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=PAGE_PARAMETERS,
        responses={200: page_output(shapes.MeasurementStudyOutput), **problems()},
        operation_id="measurement_studies",
    )
    def get(self, request: Request) -> Response:
        return page_response(selectors.studies(), request, documents.study_document, ordering=_ORDER)

    @extend_schema(
        request=shapes.MeasurementStudyInput,
        responses={201: shapes.WholeMeasurementStudyOutput, **problems(409, 413, 415)},
        operation_id="start_measurement_study",
        examples=[
            OpenApiExample(
                "50 parts, three people, three trials",
                request_only=True,
                value={"category": "screw", "appraisers": ["otto", "olga", "ina"], "reason": "release of line 2"},
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Draw the parts; the people that are named judge them then, each in an order of their own."""
        fields = parsed(shapes.MeasurementStudyInput, request.data)
        expert = fields.pop("expert")
        study = services.start_study(
            category=find_category(fields.pop("category")),
            appraisers=[find_user(name) for name in fields.pop("appraisers")],
            expert=find_user(expert) if expert else None,
            part_count=fields.pop("parts"),
            actor=request.user,
            **fields,
        )
        return Response(
            documents.whole_study(selectors.find_study(study.pk)),
            status=201,
            headers={"Location": reverse("api-measurement-study", args=[study.pk])},
        )


class MeasurementStudyView(ApiView):
    """How far a study is, and its results once it is finished."""

    rights = {"GET": Right.READ}

    @extend_schema(responses={200: shapes.WholeMeasurementStudyOutput, **problems()}, operation_id="measurement_study")
    def get(self, request: Request, study_id: uuid.UUID) -> Response:
        return Response(documents.whole_study(selectors.find_study(study_id)))


class MeasurementStudyTaskView(ApiView):
    """What the caller judges next, blind."""

    rights = {"GET": Right.REVIEW, "POST": Right.REVIEW}
    parser_classes = [JSONParser]

    @extend_schema(responses={200: shapes.StudyTaskOutput, **problems()}, operation_id="measurement_study_task")
    def get(self, request: Request, study_id: uuid.UUID) -> Response:
        study = selectors.find_study(study_id)
        return Response(documents.task_document(study, selectors.next_task(study, request.user)))

    @extend_schema(
        request=shapes.StudyAnswerInput,
        responses={201: shapes.StudyTaskOutput, **problems(409, 415)},
        operation_id="answer_measurement_study",
    )
    def post(self, request: Request, study_id: uuid.UUID) -> Response:
        """Say what the part is; the answer is the next one."""
        study = selectors.find_study(study_id)
        fields = parsed(shapes.StudyAnswerInput, request.data)
        services.answer(study=study, actor=request.user, **fields)
        study = selectors.find_study(study_id)
        return Response(documents.task_document(study, selectors.next_task(study, request.user)), status=201)


class MeasurementStudyImageView(ApiView):
    """The picture of the caller's next part, at an address that is the same for all parts."""

    rights = {"GET": Right.REVIEW}
    content_negotiation_class = OneForm

    @extend_schema(
        responses={
            (200, "image/*"): OpenApiResponse(OpenApiTypes.BINARY, description="as browsers show it"),
            **problems(410),
        },
        operation_id="measurement_study_image",
    )
    def get(self, request: Request, study_id: uuid.UUID) -> HttpResponse:
        task = selectors.next_task(selectors.find_study(study_id), request.user)
        if task is None:
            raise NotFound("There is nothing for you to judge in this study.", code="nothing_to_judge")
        picture = for_page(task.part.inspection)
        return HttpResponse(
            picture.data, content_type=picture.media_type, headers={"Cache-Control": "private, no-store"}
        )


class MeasurementStudyPdfView(ApiView):
    """The signed report."""

    rights = {"GET": Right.EXPORT}
    content_negotiation_class = OneForm

    @extend_schema(
        responses={(200, "application/pdf"): OpenApiTypes.BINARY, **problems(409)},
        operation_id="measurement_study_pdf",
    )
    def get(self, request: Request, study_id: uuid.UUID) -> HttpResponse:
        study = selectors.find_study(study_id)
        data = report.export_pdf(study=study, actor=request.user)
        disposition = f'attachment; filename="measurement-study-{study.pk}.pdf"'
        headers = {"Content-Disposition": disposition, "Cache-Control": "private, no-store"}
        return HttpResponse(data, content_type="application/pdf", headers=headers)
