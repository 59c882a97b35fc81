"""Bodies of the API as they come from anybody: what cannot be read for what it says is refused, never guessed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

from django.http import QueryDict
from rest_framework import parsers
from rest_framework.parsers import DataAndFiles, get_encoding  # type: ignore[attr-defined]

from common.api.multipart import UnreadableRequest, check_text, read_multipart
from common.api.requests import check_form

_Context = Mapping[str, Any] | None


class JSONParser(parsers.JSONParser):
    """JSON without doubled names, NaN, text that was damaged on its way, or nesting that has no end."""

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: _Context = None) -> Any:
        encoding = get_encoding(parser_context or {})
        raw = stream.read()
        try:
            text = raw.decode(encoding)
        except UnicodeError as error:
            raise _no_json(f"it cannot be read as {encoding}. Send it as UTF-8") from error
        try:
            document = json.loads(
                text.removeprefix("\ufeff"), object_pairs_hook=_without_doubled_names, parse_constant=_refuse_constant
            )
            _check_texts(document, "the body")
        except json.JSONDecodeError as error:
            raise _no_json(f"line {error.lineno}, column {error.colno}: {error.msg}") from error
        except RecursionError as error:
            raise _no_json("it is nested too deeply") from error
        except UnreadableRequest:
            raise
        except ValueError as error:
            raise _no_json("a number in it has too many digits") from error
        return document


def _no_json(why: str) -> UnreadableRequest:
    return UnreadableRequest(f"The body is not JSON that can be read: {why}. Nothing was done.", code="parse_error")


def _without_doubled_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        names = [name for name, _ in pairs]
        name = check_text("a name in the body", next(name for name in names if names.count(name) > 1))
        raise UnreadableRequest(
            f"{name[:100]} is given more than once in this JSON. Nothing was done. Send it once.",
            code="repeated_field",
            field=name[:100],
        )
    return document


def _refuse_constant(name: str) -> None:
    raise _no_json(f"{name} is not a JSON number")


def _check_texts(value: Any, name: str) -> None:
    if isinstance(value, str):
        check_text(name, value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            check_text("a name in the body", key)
            _check_texts(inner, key)
    elif isinstance(value, list):
        for inner in value:
            _check_texts(inner, name)


class FormParser(parsers.FormParser):
    """Names and values as UTF-8."""

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: _Context = None) -> Any:
        form: QueryDict = super().parse(stream, media_type, parser_context)
        check_form(form)
        return form


class MultiPartParser(parsers.MultiPartParser):
    """Fields and files, see `common.api.multipart`."""

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: _Context = None) -> DataAndFiles:
        context = parser_context or {}
        request = context["request"]
        meta = request.META | {"CONTENT_TYPE": media_type}
        return DataAndFiles(*read_multipart(meta, stream, request.upload_handlers, get_encoding(context)))
