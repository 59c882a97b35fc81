"""Alarms, and the control charts that open them."""

from __future__ import annotations

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
from modelzoo.selectors import find_category
from monitoring.alarms import selectors as alarms
from monitoring.alarms import services as alarm_services
from monitoring.api import serializers
from monitoring.drift import selectors as drift
from monitoring.drift import services as drift_services
from monitoring.reference_parts import selectors as reference_parts
from monitoring.reference_parts import services as reference_services

_ALARM_ID = OpenApiParameter("alarm_id", OpenApiTypes.INT64, OpenApiParameter.PATH)
_PART_ID = OpenApiParameter("part_id", OpenApiTypes.INT64, OpenApiParameter.PATH)
_MONITOR_ID = OpenApiParameter("monitor_id", OpenApiTypes.INT64, OpenApiParameter.PATH)


def _alarm(alarm_id: str | int) -> Response:
    return Response(alarms.whole_document(alarms.find_alarm(int(alarm_id))))


class AlarmsView(ApiView):
    """Alarms, newest first."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[serializers.AlarmQuery, *PAGE_PARAMETERS],
        responses={200: page_output(serializers.AlarmOutput), **problems()},
        operation_id="alarms",
    )
    def get(self, request: Request) -> Response:
        query = parsed_query(serializers.AlarmQuery, request)
        return page_response(alarms.alarms(**query), request, alarms.alarm_document)


class AlarmView(ApiView):
    """One alarm, with what was said about it."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[_ALARM_ID], responses={200: serializers.WholeAlarmOutput, **problems()}, operation_id="alarm"
    )
    def get(self, request: Request, alarm_id: str) -> Response:
        return _alarm(alarm_id)


class AlarmAcknowledgeView(ApiView):
    """Somebody looks into it."""

    rights = {"POST": Right.REVIEW}

    @extend_schema(
        parameters=[_ALARM_ID],
        request=None,
        responses={200: serializers.WholeAlarmOutput, **problems(409)},
        operation_id="acknowledge_alarm",
    )
    def post(self, request: Request, alarm_id: str) -> Response:
        alarm = alarms.find_alarm(int(alarm_id))
        alarm_services.acknowledge_alarm(alarm=alarm, actor=request.user)
        return _alarm(alarm.pk)


class AlarmCommentsView(ApiView):
    """What somebody adds to an alarm."""

    rights = {"POST": Right.REVIEW}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[_ALARM_ID],
        request=serializers.AlarmCommentInput,
        responses={201: serializers.WholeAlarmOutput, **problems(413, 415)},
        operation_id="comment_alarm",
    )
    def post(self, request: Request, alarm_id: str) -> Response:
        fields = parsed(serializers.AlarmCommentInput, request.data)
        alarm = alarms.find_alarm(int(alarm_id))
        alarm_services.comment_alarm(alarm=alarm, actor=request.user, **fields)
        return Response(alarms.whole_document(alarms.find_alarm(alarm.pk)), status=201)


class AlarmResolveView(ApiView):
    """Close it, with its cause."""

    rights = {"POST": Right.TUNE}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[_ALARM_ID],
        request=serializers.AlarmResolveInput,
        responses={200: serializers.WholeAlarmOutput, **problems(409, 413, 415)},
        operation_id="resolve_alarm",
    )
    def post(self, request: Request, alarm_id: str) -> Response:
        fields = parsed(serializers.AlarmResolveInput, request.data)
        alarm = alarms.find_alarm(int(alarm_id))
        alarm_services.resolve_alarm(alarm=alarm, actor=request.user, **fields)
        return _alarm(alarm.pk)


class DriftMonitorsView(ApiView):
    """The control charts of each category and station, and of its batches: one monitor each."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[serializers.DriftMonitorQuery, *PAGE_PARAMETERS],
        responses={200: page_output(serializers.DriftMonitorOutput), **problems()},
        operation_id="drift_monitors",
    )
    def get(self, request: Request) -> Response:
        query = parsed_query(serializers.DriftMonitorQuery, request)
        return page_response(drift.monitors(**query).order_by("-pk"), request, drift.monitor_document)


class DriftMonitorView(ApiView):
    """One monitor, with what each of its charts says."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[_MONITOR_ID],
        responses={200: serializers.WholeDriftMonitorOutput, **problems()},
        operation_id="drift_monitor",
    )
    def get(self, request: Request, monitor_id: str) -> Response:
        return Response(drift.whole_document(drift.find_monitor(int(monitor_id))))


class DriftRestartView(ApiView):
    """The next 100 parts become the reference of all charts of a monitor."""

    rights = {"POST": Right.TUNE}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[_MONITOR_ID],
        request=serializers.DriftRestartInput,
        responses={200: serializers.WholeDriftMonitorOutput, **problems(413, 415)},
        operation_id="restart_drift_monitor",
    )
    def post(self, request: Request, monitor_id: str) -> Response:
        fields = parsed(serializers.DriftRestartInput, request.data)
        monitor = drift.find_monitor(int(monitor_id))
        drift_services.restart_monitor(monitor=monitor, actor=request.user, **fields)
        return Response(drift.whole_document(drift.find_monitor(monitor.pk)))


class ReferencePartsView(ApiView):
    """Parts whose verdict is known, newest first."""

    rights = {"GET": Right.READ, "POST": Right.TUNE}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[serializers.ReferencePartQuery, *PAGE_PARAMETERS],
        responses={200: page_output(serializers.ReferencePartOutput), **problems()},
        operation_id="reference_parts",
    )
    def get(self, request: Request) -> Response:
        query = parsed_query(serializers.ReferencePartQuery, request)
        return page_response(reference_parts.parts(**query), request, reference_parts.part_document)

    @extend_schema(
        request=serializers.ReferencePartInput,
        responses={201: serializers.WholeReferencePartOutput, **problems(409, 413, 415)},
        operation_id="add_reference_part",
    )
    def post(self, request: Request) -> Response:
        fields = parsed(serializers.ReferencePartInput, request.data)
        category = find_category(fields.pop("category"))
        part = reference_services.add_part(category=category, actor=request.user, **fields)
        return Response(
            reference_parts.whole_document(reference_parts.find_part(part.pk)),
            status=201,
            headers={"Location": reverse("api-reference-part", args=[part.pk])},
        )


class ReferencePartView(ApiView):
    """One part, with its last checks."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[_PART_ID],
        responses={200: serializers.WholeReferencePartOutput, **problems()},
        operation_id="reference_part",
    )
    def get(self, request: Request, part_id: str) -> Response:
        return Response(reference_parts.whole_document(reference_parts.find_part(int(part_id))))


class ReferencePartRetireView(ApiView):
    """It is a part like others from now on."""

    rights = {"POST": Right.TUNE}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[_PART_ID],
        request=serializers.ReferencePartRetireInput,
        responses={200: serializers.WholeReferencePartOutput, **problems(409, 413, 415)},
        operation_id="retire_reference_part",
    )
    def post(self, request: Request, part_id: str) -> Response:
        fields = parsed(serializers.ReferencePartRetireInput, request.data)
        part = reference_parts.find_part(int(part_id))
        reference_services.retire_part(part=part, actor=request.user, **fields)
        return Response(reference_parts.whole_document(reference_parts.find_part(part.pk)))


class StationStatesView(ApiView):
    """Whether each station is proven in this shift by its reference parts."""

    rights = {"GET": Right.READ}

    @extend_schema(responses={200: serializers.StationStatesOutput, **problems()}, operation_id="station_states")
    def get(self, request: Request) -> Response:
        return Response({"stations": [reference_parts.state_document(state) for state in reference_parts.all_states()]})
