"""What the API says of a field that is wrong: our sentences in place of the framework's, for every serializer."""

from __future__ import annotations

from rest_framework import serializers

_SIZES = {
    "max_value": "must be at most {max_value}.",
    "min_value": "must be at least {min_value}.",
    "max_string_length": "has too many digits.",
}
_LISTS = {
    "not_a_list": "must be a list, not a value of the type {input_type}.",
    "empty": "must not be an empty list.",
    "min_length": "must have at least {min_length} entries.",
    "max_length": "must have at most {max_length} entries.",
}
_MESSAGES: dict[type[serializers.Field], dict[str, str]] = {
    serializers.Field: {"required": "is missing. Send it.", "null": "must not be null."},
    serializers.BooleanField: {"invalid": "must be true or false."},
    serializers.CharField: {
        "invalid": "must be text, not a file or a list.",
        "blank": "must not be empty.",
        "max_length": "must have at most {max_length} characters.",
        "min_length": "must have at least {min_length} characters.",
    },
    serializers.RegexField: {"invalid": "does not have the right form."},
    serializers.UUIDField: {"invalid": "must be a UUID."},
    serializers.IntegerField: _SIZES | {"invalid": "must be a whole number."},
    serializers.FloatField: _SIZES | {"invalid": "must be a number.", "overflow": "is too large."},
    serializers.DecimalField: _SIZES
    | {
        "invalid": "must be a number.",
        "max_digits": "has too many digits.",
        "max_decimal_places": "must have at most {max_decimal_places} decimals.",
        "max_whole_digits": "has too many digits before the decimal point.",
    },
    serializers.DateTimeField: {
        "invalid": "must be a time, such as 2026-11-24T08:00:00+01:00.",
        "date": "must be a time, such as 2026-11-24T08:00:00+01:00, not a day.",
        "make_aware": "is not a time in the time zone {timezone}.",
        "overflow": "is too early or too late.",
    },
    serializers.ChoiceField: {"invalid_choice": "must not be {input}."},
    serializers.FileField: {
        "required": "is missing; send a file in the multipart field of this name.",
        "null": "is missing; send a file in the multipart field of this name.",
        "invalid": "must be a file: a part of multipart/form-data with a filename in its Content-Disposition.",
        "no_name": "is a file without a name; give the part a filename.",
        "empty": "is an empty file.",
        "max_length": "must have a file name of at most {max_length} characters; it has {length}.",
    },
    serializers.ListField: _LISTS,
    serializers.ListSerializer: _LISTS,
    serializers.DictField: {
        "not_a_dict": "must be an object, not a value of the type {input_type}.",
        "empty": "must not be an empty object.",
    },
    serializers.JSONField: {"invalid": "must be JSON."},
    serializers.Serializer: {"invalid": "must be an object with fields by name, not a value of the type {datatype}."},
}


def use_our_messages() -> None:
    """Fields look their sentences up in their classes when a serializer is made."""
    for field, messages in _MESSAGES.items():
        field.default_error_messages = {**field.default_error_messages, **messages}


def name_choices(serializer: serializers.Serializer) -> None:
    """Have the fields that take one of some words say which words."""
    for field in serializer.fields.values():
        inner = getattr(field, "child", field)
        if isinstance(inner, serializers.Serializer):
            name_choices(inner)
        elif isinstance(inner, serializers.ChoiceField):
            words = ", ".join(str(choice) for choice in inner.choices if choice != "")
            inner.error_messages["invalid_choice"] = f"must be one of {words}, not {{input}}."
