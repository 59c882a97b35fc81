"""What a request asks for is read whole or refused: names that nothing reads are told, values are checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.views import APIView

from common.api.messages import name_choices
from common.api.requests import check_fields, nearest_name, unknown_name
from common.api.schema import query_parameters
from common.errors import UserError


def check_query(view: APIView, request: Request) -> None:
    """Raises `UserError` for what the address asks for and the schema of the method does not have."""
    reads = "GET" if request.method == "HEAD" else str(request.method)
    if reads == "OPTIONS" or not request.query_params:
        return
    parameters = query_parameters(view, reads)
    for name in request.query_params:
        if name not in parameters:
            if reads == "GET":
                raise UserError(
                    f"{name[:100]} is not a parameter of this address. Nothing was read. "
                    + unknown_name(name, list(parameters), none="It takes none."),
                    code="invalid_filter",
                    parameter=name[:100],
                    nearest=nearest_name(name, parameters),
                )
            raise UserError(
                f"{name[:100]} was sent in the address, but {reads} does not read it there. Nothing was done. "
                "Send it in the body.",
                code="unknown_field",
                field=name[:100],
            )
        if not parameters[name] and len(request.query_params.getlist(name)) > 1:
            raise UserError(
                f"{name} is given more than once. Nothing was read. Send it once.",
                code="invalid_filter",
                parameter=name,
            )


NoInput = serializers.Serializer  # of a method that takes no fields


def parsed(shape: type[serializers.Serializer], data: Any) -> dict[str, Any]:
    """The validated body. Raises `UserError` for fields that are unknown or repeated, and DRF's ValidationError, which
    is answered as a problem with `errors`."""
    if not isinstance(data, Mapping):
        kind = {list: "an array", str: "a text", bool: "a truth value", type(None): "null"}.get(type(data), "a number")
        raise UserError(
            f"The body must be a JSON object with fields by name, not {kind}. Nothing was done.", code="invalid"
        )
    serializer = shape(data=data)
    check_fields(serializer, data)
    return _valid(serializer)


def parsed_query(shape: type[serializers.Serializer], request: Request) -> dict[str, Any]:
    """The same of the query string, in which `ApiView` has found no name that the method does not declare.

    An empty value is refused where the schema allows none: left out silently, it would answer more than was meant.
    """
    serializer = shape(data=request.query_params)
    for name, field in serializer.fields.items():
        if request.query_params.get(name) == "" and not getattr(field, "allow_blank", False):
            raise UserError(
                f"{name} is empty. Nothing was read. Leave it out.",
                code="invalid_filter",
                parameter=name,
            )
    return _valid(serializer)


def _valid(serializer: serializers.Serializer) -> dict[str, Any]:
    name_choices(serializer)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)
