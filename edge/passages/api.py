"""Passages: what the line says that has passed a station."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PAGE_PARAMETERS, page_response
from common.api.parsers import JSONParser
from common.api.schema import page_output, problems
from common.api.validation import parsed, parsed_query
from common.api.views import ApiView
from common.rights import Right
from edge.passages import documents, selectors, services
from edge.passages import serializers as shapes
from edge.passages.counting import CounterSize

_ID = OpenApiParameter("counter_id", OpenApiTypes.INT64, OpenApiParameter.PATH)


class PassagesView(ApiView):
    """Parts that passed, as the line reports them."""

    rights = {"POST": Right.INSPECT}
    parser_classes = [JSONParser]

    @extend_schema(
        request=shapes.PassagesInput,
        responses={200: shapes.PassagesOutput, **problems(413, 415)},
        operation_id="report_passages",
        examples=[
            OpenApiExample(
                "two parts",
                value={
                    "station": "east",
                    "passages": [
                        {"counter": 1041, "serial_number": "S0001041", "passed_at": "2026-05-04T09:12:43.9+02:00"},
                        {"counter": 1042, "serial_number": "S0001042", "passed_at": "2026-05-04T09:12:44.4+02:00"},
                    ],
                },
                request_only=True,
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Write down what passed: all of it or, where one is no passage, nothing. The same twice is one."""
        fields = parsed(shapes.PassagesInput, request.data)
        last = fields["counter_last"]
        reported = services.report_passages(
            station=fields["station"],
            reports=[
                services.Report(row["counter"], row["serial_number"], row["passed_at"]) for row in fields["passages"]
            ],
            actor=request.user,
            size=CounterSize(fields["counter_first"] or 0, last) if last else None,
        )
        return Response(documents.reported_document(reported))


class PassageCountersView(ApiView):
    """Who counts the parts that pass, by station."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[shapes.PassageCounterQuery, *PAGE_PARAMETERS],
        responses={200: page_output(shapes.PassageCounterOutput), **problems()},
        operation_id="passage_counters",
    )
    def get(self, request: Request) -> Response:
        rows = selectors.counters(station=parsed_query(shapes.PassageCounterQuery, request).get("station"))
        return page_response(rows, request, documents.counter_document, ordering=("station", "id"))


class CounterPassagesView(ApiView):
    """What one of them reported, newest first."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[_ID, *PAGE_PARAMETERS],
        responses={200: page_output(shapes.PassageOutput), **problems()},
        operation_id="passages",
    )
    def get(self, request: Request, counter_id: str) -> Response:
        rows = selectors.passages(selectors.find_counter(int(counter_id)))
        return page_response(rows, request, documents.passage_document, ordering=selectors.ORDER)
