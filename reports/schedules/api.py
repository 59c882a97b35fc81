"""Schedules: reports that are issued and sent when each of their windows is over."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PAGE_PARAMETERS, page_response
from common.api.parsers import JSONParser
from common.api.schema import page_output, problems
from common.api.validation import parsed
from common.api.views import ApiView
from common.rights import Right
from modelzoo.selectors import find_category
from reports.schedules import selectors, services
from reports.schedules.documents import schedule_document
from reports.schedules.serializers import ReportScheduleInput, ReportScheduleOutput

_ID = OpenApiParameter("schedule_id", OpenApiTypes.INT64, OpenApiParameter.PATH)
_EXAMPLES = [
    OpenApiExample(
        "each shift of screws",
        request_only=True,
        value={"kind": "shift", "category": "screw", "recipients": ["quality@factory.example"]},
    )
]


def _fields(request: Request) -> dict[str, Any]:
    fields = parsed(ReportScheduleInput, request.data)
    return fields | {"category": find_category(fields["category"]) if fields["category"] else None}


class SchedulesView(ApiView):
    """The schedules in force, newest first."""

    rights = {"GET": Right.READ, "POST": Right.TUNE}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=PAGE_PARAMETERS,
        responses={200: page_output(ReportScheduleOutput), **problems()},
        operation_id="report_schedules",
    )
    def get(self, request: Request) -> Response:
        return page_response(selectors.schedules(), request, schedule_document)

    @extend_schema(
        request=ReportScheduleInput,
        responses={201: ReportScheduleOutput, **problems(409, 413, 415)},
        operation_id="add_report_schedule",
        examples=_EXAMPLES,
    )
    def post(self, request: Request) -> Response:
        """Its first report is that of the window which goes on now."""
        schedule = services.set_schedule(actor=request.user, **_fields(request))
        address = reverse("api-report-schedule", args=[schedule.pk])
        return Response(schedule_document(schedule), status=201, headers={"Location": address})


class ScheduleView(ApiView):
    """One schedule."""

    rights = {"GET": Right.READ, "PUT": Right.TUNE, "DELETE": Right.TUNE}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[_ID], responses={200: ReportScheduleOutput, **problems()}, operation_id="report_schedule"
    )
    def get(self, request: Request, schedule_id: str) -> Response:
        return Response(schedule_document(selectors.find_schedule(int(schedule_id))))

    @extend_schema(
        parameters=[_ID],
        request=ReportScheduleInput,
        responses={200: ReportScheduleOutput, **problems(409, 413, 415)},
        operation_id="change_report_schedule",
        examples=_EXAMPLES,
    )
    def put(self, request: Request, schedule_id: str) -> Response:
        schedule = selectors.find_schedule(int(schedule_id))
        changed = services.set_schedule(schedule=schedule, actor=request.user, **_fields(request))
        return Response(schedule_document(changed))

    @extend_schema(parameters=[_ID], responses={204: None, **problems(409)}, operation_id="end_report_schedule")
    def delete(self, request: Request, schedule_id: str) -> Response:
        """No further reports; those that were issued stay."""
        services.end_schedule(schedule=selectors.find_schedule(int(schedule_id)), actor=request.user)
        return Response(status=204)
