"""A request means what it says: names that nothing reads, values that are given twice and text that was damaged on its
way are refused by name, and nothing is done."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NoReturn

from django.http import HttpRequest, HttpResponse, QueryDict
from rest_framework import serializers

from common.api.multipart import UnreadableRequest, check_text, read_multipart
from common.errors import UserError

_CSRF = "csrfmiddlewaretoken"


# ---------------------------------------------------------------- names
def nearest_name(name: str, names: Iterable[str]) -> str | None:
    """The known name that was probably meant: one that shares all of its words with it, else one spelt much like it."""
    spelling = _snake_case(name)
    candidates = list(names)
    words = set(spelling.split("_"))
    sharing = [one for one in candidates if set(one.split("_")) <= words or words <= set(one.split("_"))]
    close = difflib.get_close_matches(spelling, sharing, n=1, cutoff=0.0)
    close = close or difflib.get_close_matches(spelling, candidates, n=1, cutoff=0.6)
    return close[0] if close else None


def _snake_case(name: str) -> str:
    """As our fields are spelt: `SerialNumber`, `serial-number` and `serialNumber` are all `serial_number`."""
    return re.sub(r"\W+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name[:100])).strip("_").lower()


def unknown_name(name: str, names: Collection[str], *, none: str) -> str:
    """What is said of a name that nothing reads: the nearest known one, and which there are; `none`: where there are
    none."""
    nearest = nearest_name(name, names)
    suggestion = f"Did you mean {nearest}? " if nearest else ""
    return suggestion + (f"There are: {', '.join(names)}." if names else none)


def _refuse_unknown(name: str, names: Collection[str], path: str) -> NoReturn:
    field = f"{path}{name[:100]}"
    sentence = f"{field} is not a field of this request. Nothing was done. " + unknown_name(
        name, names, none="It takes no fields."
    )
    raise UserError(
        sentence, code="unknown_field", field=field, nearest=nearest_name(name, names), errors={field: [sentence]}
    )


def _refuse_repeated(name: str, path: str) -> NoReturn:
    sentence = f"{path}{name} is given more than once. Nothing was done. Send it once."
    raise UserError(sentence, code="repeated_field", field=f"{path}{name}", errors={f"{path}{name}": [sentence]})


# ---------------------------------------------------------------- bodies
def check_fields(serializer: serializers.Serializer, data: Mapping[str, Any], *, path: str = "") -> None:
    """Raises `UserError` for a field, however deep, that the serializer does not read, and for one given twice."""
    fields = serializer.fields
    is_form = hasattr(data, "getlist")
    for name in data:
        key = str(name)
        if is_form and key == _CSRF:
            continue
        listed = re.fullmatch(r"(\w+)\[[0-9]+\]", key) if is_form else None
        if listed and isinstance(fields.get(listed[1]), serializers.ListField):
            continue
        if key not in fields:
            _refuse_unknown(key, list(fields), path)
        if is_form and not isinstance(fields[key], serializers.ListField) and len(data.getlist(key)) > 1:  # type: ignore[attr-defined]
            _refuse_repeated(key, path)
    for name, field in fields.items():
        for place, value in _nested_values(field, data.get(name), f"{path}{name}"):
            inner = getattr(field, "child", field)
            if isinstance(inner, serializers.Serializer) and isinstance(value, Mapping):
                check_fields(inner, value, path=f"{place}.")


def _nested_values(field: serializers.Field, value: Any, place: str) -> Iterable[tuple[str, Any]]:
    """The values in a field that may have fields themselves, with where they stand."""
    if isinstance(field, serializers.Serializer):
        return [(place, value)]
    if isinstance(field, serializers.ListField) and isinstance(value, list):
        return [(f"{place}[{index}]", one) for index, one in enumerate(value)]
    return []


def check_one_image(files: Mapping[str, Any]) -> None:
    """Raises `UserError` where a request that takes one image carries several files."""
    names = [name for name in files for _ in files.getlist(name)]  # type: ignore[attr-defined]
    if len(names) > 1:
        raise UserError(
            f"This request has {len(names)} files ({', '.join(name[:50] for name in names[:10])}). Nothing was judged. "
            "Send one image; several are a batch (POST /api/batches).",
            code="several_images",
        )


def check_form(form: QueryDict) -> None:
    """Raises `UnreadableRequest` naming the field whose name or value was no UTF-8."""
    for name, values in form.lists():
        check_text("the name of a field", name)
        for value in values:
            if isinstance(value, str):
                check_text(name[:100], value)


# ---------------------------------------------------------------- pages and API alike
class ReadableRequestMiddleware:
    """Text that was no UTF-8 ends as 400 and not as U+FFFD in a record or a search, in addresses and forms.

    The API has parsers of its own (`common.api.parsers`), which read the same way.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            check_form(request.GET)
        except UnreadableRequest as error:
            raise UnreadableRequest(
                f"The address of this request cannot be read: {error.detail}", code=error.code, **error.extra
            ) from error
        read_form = request._load_post_and_files

        def parse_file_upload(meta: Any, stream: Any) -> Any:
            return read_multipart(meta, stream, request.upload_handlers, request.encoding)

        def load_post_and_files() -> None:
            read_form()
            try:
                check_form(request.POST)
            except UnreadableRequest:
                request._mark_post_parse_error()  # type: ignore[attr-defined]
                raise

        # Forms are read when somebody first asks for them, in Django's own time.
        request.parse_file_upload = parse_file_upload  # type: ignore[method-assign, assignment]
        request._load_post_and_files = load_post_and_files  # type: ignore[method-assign]
        return self.get_response(request)
