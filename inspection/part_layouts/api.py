"""`/api/part-layouts`: which views a part has."""

from __future__ import annotations

from typing import Any

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
from inspection.models import PartLayout
from inspection.part_layouts import selectors, services
from inspection.part_layouts.documents import layout_document
from inspection.part_layouts.serializers import PartLayoutInput, PartLayoutOutput, RetirePartLayoutInput
from modelzoo.selectors import find_category

_NAME = OpenApiParameter("name", OpenApiTypes.STR, OpenApiParameter.PATH)
_EXAMPLE = OpenApiExample(
    "two sides of a housing",
    request_only=True,
    value={
        "time_limit_seconds": 10,
        "views": [
            {"name": "top", "category": "housing-top", "station": "line 3 top"},
            {"name": "left", "category": "housing-side"},
        ],
        "reason": "second camera since week 48",
    },
)


class PartLayoutsView(ApiView):
    """The layouts in use, by name; each is its revision in force."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=PAGE_PARAMETERS,
        responses={200: page_output(PartLayoutOutput), **problems()},
        operation_id="part_layouts",
    )
    def get(self, request: Request) -> Response:
        return page_response(selectors.layouts(), request, layout_document, ordering=("name", "id"))


class PartLayoutView(ApiView):
    """One layout, as it is in force."""

    rights = {"GET": Right.READ, "PUT": Right.TUNE}
    parser_classes = [JSONParser]

    @extend_schema(parameters=[_NAME], responses={200: PartLayoutOutput, **problems()}, operation_id="part_layout")
    def get(self, request: Request, name: str) -> Response:
        return Response(layout_document(selectors.find_layout(name)))

    @extend_schema(
        parameters=[_NAME],
        request=PartLayoutInput,
        responses={200: PartLayoutOutput, 201: PartLayoutOutput, **problems(409, 413, 415)},
        operation_id="set_part_layout",
        examples=[_EXAMPLE],
    )
    def put(self, request: Request, name: str) -> Response:
        """A new layout, or a new revision of it. Parts that have begun keep the revision of their first view."""
        fields = parsed(PartLayoutInput, request.data)
        layout = services.set_layout(
            name=name,
            views=[_view(view) for view in fields["views"]],
            time_limit_seconds=fields["time_limit_seconds"],
            reason=fields["reason"],
            actor=request.user,
        )
        return _answer(layout)


class RetirePartLayoutView(ApiView):
    """No part begins with the layout any more; parts that have begun go on."""

    rights = {"POST": Right.TUNE}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[_NAME],
        request=RetirePartLayoutInput,
        responses={200: PartLayoutOutput, **problems(409, 413, 415)},
        operation_id="retire_part_layout",
        examples=[OpenApiExample("retire", request_only=True, value={"reason": "the product has run out"})],
    )
    def post(self, request: Request, name: str) -> Response:
        selectors.find_layout(name)
        fields = parsed(RetirePartLayoutInput, request.data)
        services.retire_layout(name=name, reason=fields["reason"], actor=request.user)
        return Response(layout_document(selectors.find_layout(name)))


def _view(fields: dict[str, Any]) -> services.ViewPlan:
    return services.ViewPlan(fields["name"], find_category(fields["category"]), fields["station"])


def _answer(layout: PartLayout) -> Response:
    document = layout_document(selectors.find_layout(layout.name))
    if layout.revision > 1:
        return Response(document)
    return Response(document, status=201, headers={"Location": document["url"]})
