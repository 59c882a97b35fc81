"""What the OpenAPI schema says of every view: its problems, its pages, and which query parameters it takes."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers
from rest_framework.views import APIView


class ProblemOutput(serializers.Serializer):
    """RFC 9457."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()


_PROBLEM = OpenApiResponse(ProblemOutput, description="RFC 9457 problem document")


def problems(*statuses: int) -> dict[tuple[int, str], OpenApiResponse]:
    """For `extend_schema(responses=...)`: the errors that a view answers, and those that every view may answer."""
    every = {400, 401, 403, 404, 405, 406, 429, 503, *statuses}
    return {(status, "application/problem+json"): _PROBLEM for status in sorted(every)}


def page_output(item: type[serializers.Serializer]) -> type[serializers.Serializer]:
    """The shape of `page_response`, for the schema."""
    return type(
        f"{item.__name__.removesuffix('Output')}PageOutput",
        (serializers.Serializer,),
        {
            "next": serializers.URLField(allow_null=True),
            "previous": serializers.URLField(allow_null=True),
            "results": item(many=True),
        },
    )


def query_parameters(view: APIView, method: str) -> dict[str, bool]:
    """The query parameters that a method declares in its schema, and whether they may be repeated."""
    declared = getattr(getattr(view, method.lower(), None), "kwargs", {}).get("schema")
    if declared is None:
        return {}
    schema = declared()
    schema.view, schema.method = view, method
    parameters: dict[str, bool] = {}
    for parameter in schema.get_override_parameters():
        if isinstance(parameter, OpenApiParameter):
            if parameter.location == OpenApiParameter.QUERY:
                shape = parameter.type
                parameters[parameter.name] = parameter.many or (
                    isinstance(shape, dict) and shape.get("type") == "array"
                )
        else:
            fields = parameter().fields
            parameters |= {name: isinstance(field, serializers.ListField) for name, field in fields.items()}
    return parameters
