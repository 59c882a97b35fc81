"""Fields of the API for numbers and JSON that both databases can keep."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

_MAX_VALUE = 1e300
_MAX_INTEGER = 2**63 - 1
_MAX_DEPTH = 20


class FiniteField(serializers.FloatField):
    """A number, neither infinite nor NaN, in text or out of it."""

    def to_internal_value(self, data: Any) -> float:
        try:
            value = super().to_internal_value(data)
        except OverflowError:
            value = float("inf")
        if isinstance(data, bool) or not abs(value) < _MAX_VALUE:
            raise serializers.ValidationError("must be a finite number.")
        return value


@extend_schema_field({"type": "object", "additionalProperties": {}})
class JsonObject(serializers.JSONField):
    """An object of any content that is kept as it came: finite numbers within 63 bits, text without NUL."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise serializers.ValidationError("must be a JSON object.")
        _check(data, depth=0)
        return data


def _check(value: Any, *, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise serializers.ValidationError(f"must not be nested deeper than {_MAX_DEPTH} times.")
    if isinstance(value, dict):
        for name, inner in value.items():
            _check(name, depth=depth)
            _check(inner, depth=depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, depth=depth + 1)
    elif isinstance(value, str):
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise serializers.ValidationError("must not hold NUL characters or lone surrogates.")
    elif isinstance(value, float):
        if not abs(value) < _MAX_VALUE:
            raise serializers.ValidationError("must hold finite numbers only.")
    elif isinstance(value, int) and abs(value) > _MAX_INTEGER:
        raise serializers.ValidationError("must hold no integers of more than 63 bits.")
