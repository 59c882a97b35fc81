"""What the values of the history's filters are: how the text of one is read, and what the API's schema says of it."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import reduce
from operator import or_
from typing import Any, NoReturn

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Q
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from common.errors import UserError
from inspection.models import Inspection, Review
from modelzoo.models import Category, ModelVersion, Threshold
from records.models import Asset

# What no database keeps in a text: NUL, and halves of characters.
NO_CHARACTER = re.compile("[\0\ud800-\udfff]")
PERIODS = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}
# By what a part is looked for: each begins with what was typed. Each has an index for it.
SEARCHED = ("filename", "serial_number", "lot", "part_number")
_MAX_SEARCH_IDS = 2000  # records of each
_MAX_ID = 2**63 - 1
_MAX_MOMENT_LENGTH = len("2026-11-24T08:00:00.000000+01:00:00.000000")
_NO_MOMENT = "must be a day (2026-11-24) or a time (2026-11-24T08:00:00+01:00)"
_LAST_CHARACTER = "\U0010ffff"


def refuse(name: str, why: str) -> NoReturn:
    raise UserError(f"{name} {why}. Nothing was read.", code="invalid_filter", parameter=name)


def either(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


@dataclass(frozen=True)
class ResolvedIds:
    """What was asked for, and the ids of what it names, which may be none."""

    value: str | int
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Search:
    """What was typed to find a part by, and the records that it finds; None: more than are worth naming.

    Few are named, so that a rare one is found by the indexes of `SEARCHED` however old it is. Where there are many,
    the newest of them are near the top of any list, and are found there.
    """

    value: str
    ids: tuple[uuid.UUID, ...] | None

    @property
    def condition(self) -> Q:
        if self.ids is not None:
            return Q(pk__in=self.ids)
        return reduce(or_, (begins_with(name, self.value) for name in SEARCHED))


def begins_with(name: str, prefix: str) -> Q:
    """The same on both databases, and by an index on both: SQLite's LIKE knows no case and therefore no index."""
    if connection.vendor == "sqlite":
        return Q(**{f"{name}__gte": prefix, f"{name}__lt": prefix + _LAST_CHARACTER})
    return Q(**{f"{name}__startswith": prefix})


# ---------------------------------------------------------------- kinds of values
@dataclass(frozen=True)
class Kind:
    """What a filter may ask for.

    `parse` takes the filter's name and a text, and raises `UserError` for what is none of its values.
    """

    parse: Callable[[str, str], Any]
    schema: Mapping[str, Any]
    choices: Mapping[str, str | Promise] = field(default_factory=dict)  # all values, and what people call them
    several: bool = False  # one of the values that are given
    compares_case: bool = False
    is_moment: bool = False
    inputmode: str = ""


def text(max_length: int = 100, *, compares_case: bool = True) -> Kind:
    schema = {"type": "string", "maxLength": max_length}
    return Kind(lambda name, value: _text(name, value, max_length), schema, compares_case=compares_case)


def moment(*, end_of_day: bool, example: str) -> Kind:
    """A moment, or a day: from its beginning, to its end. Without an offset it is of the system's time zone."""
    schema = {"type": "string", "example": example}
    return Kind(lambda name, value: _moment(name, value, end_of_day), schema, is_moment=True)


def choice(choices: Mapping[str, str | Promise], *, several: bool = False) -> Kind:
    def parse(name: str, value: str) -> str:
        return value if value in choices else refuse(name, f"must be {either(list(choices))}")

    one = {"type": "string", "enum": list(choices)}
    return Kind(parse, {"type": "array", "items": one} if several else one, choices, several)


def _text(name: str, value: str, max_length: int) -> str:
    return value if len(value) <= max_length else refuse(name, f"must have at most {max_length} characters")


def _moment(name: str, value: str, end_of_day: bool) -> datetime:
    # An unescaped + in an address arrives as a blank.
    value = re.sub(r"^(.*T.*) (\d\d:?\d\d)$", r"\1+\2", value)
    if len(value) > _MAX_MOMENT_LENGTH:
        refuse(name, _NO_MOMENT)
    try:
        day = parse_date(value)
        if day is not None:
            at = datetime.combine(day + timedelta(days=1) if end_of_day else day, time.min)
        else:
            at = parse_datetime(value) or refuse(name, _NO_MOMENT)
        if timezone.is_naive(at):
            at = timezone.make_aware(at)
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        refuse(name, _NO_MOMENT)


def _period(name: str, value: str) -> datetime:
    """When a period that ends now began. Days are those of the system's time zone."""
    if value == "today":
        return timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
    if value not in PERIODS:
        refuse(name, f"must be {either(['today', *PERIODS])}")
    return timezone.now() - PERIODS[value]


def _number(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    return number if math.isfinite(number) else refuse(name, "must be a finite number")


def _whole_number(name: str, value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,19}", value) or not 0 < int(value) <= _MAX_ID:
        refuse(name, "must be a whole number from 1")
    return int(value)


def _yes_no(name: str, value: str) -> bool:
    values = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    return values[value] if value in values else refuse(name, "must be yes or no")


def _uuid(name: str, value: str) -> uuid.UUID:
    try:
        return uuid.UUID(value)
    except ValueError:
        refuse(name, "must be a UUID")


def _category(name: str, value: str) -> Category:
    return Category.objects.filter(name=value).first() or refuse(name, f"is not a category: {value[:100]}")


def _user(name: str, value: str) -> User:
    return User.objects.filter(username=value).first() or refuse(name, f"is not a user: {value[:150]}")


def _id_of(model: type[ModelVersion | Threshold]) -> Callable[[str, str], int]:
    def parse(name: str, value: str) -> int:
        number = _whole_number(name, value)
        return number if model.objects.filter(pk=number).exists() else refuse(name, f"{number} is unknown")

    return parse


def _search(name: str, value: str) -> Search:
    value = _text(name, value, 100)
    ids: set[uuid.UUID] = set()
    for column in SEARCHED:
        rows = Inspection.objects.filter(begins_with(column, value)).order_by().values_list("pk", flat=True)
        some = list(rows[: _MAX_SEARCH_IDS + 1])
        if len(some) > _MAX_SEARCH_IDS:
            return Search(value, None)
        ids.update(some)
    return Search(value, tuple(sorted(ids)))


def _image(name: str, value: str) -> ResolvedIds:
    """Whether a picture was ever seen may be asked of any."""
    if not re.fullmatch(r"[0-9a-f]{64}", value):
        refuse(name, "must be a SHA-256 in 64 small hex digits")
    return ResolvedIds(value, tuple(Asset.objects.filter(sha256=value).values_list("pk", flat=True)))


def resolve_revision(revision: int, model_version: int | None) -> ResolvedIds:
    """All thresholds of this revision, of one model version where one is named."""
    thresholds = Threshold.objects.filter(revision=revision)
    if model_version is not None:
        thresholds = thresholds.filter(model_version=model_version)
    ids = tuple(thresholds.order_by("pk").values_list("pk", flat=True))
    return ResolvedIds(revision, ids) if ids else refuse("threshold_revision", f"{revision} is unknown")


_ID_SCHEMA = {"type": "integer", "minimum": 1, "maximum": _MAX_ID}
NUMBER = Kind(_number, {"type": "number"}, inputmode="decimal")
WHOLE_NUMBER = Kind(_whole_number, _ID_SCHEMA, inputmode="numeric")
YES_NO = Kind(_yes_no, {"type": "string", "enum": ["yes", "no"]}, {"yes": _("yes"), "no": _("no")})
UUID = Kind(_uuid, {"type": "string", "format": "uuid"})
CATEGORY = Kind(_category, {"type": "string"})
USER = Kind(_user, {"type": "string"})
MODEL_VERSION = Kind(_id_of(ModelVersion), _ID_SCHEMA)
THRESHOLD = Kind(_id_of(Threshold), _ID_SCHEMA)
SEARCH = Kind(_search, {"type": "string", "maxLength": 100}, compares_case=True)
IMAGE_SHA256 = Kind(_image, {"type": "string", "pattern": "^[0-9a-f]{64}$"})
PERIOD = Kind(
    _period,
    {"type": "string", "enum": ["today", *PERIODS]},
    {"today": _("Today"), "24h": _("24 hours"), "7d": _("7 days"), "30d": _("30 days")},
)
OUTCOME_WORDS = {
    Inspection.Outcome.GOOD.value: pgettext_lazy("verdict", "Good"),
    Inspection.Outcome.DEFECTIVE.value: pgettext_lazy("verdict", "Defect"),
    Inspection.Outcome.NOT_COMPARABLE.value: _("Not comparable"),
}
OUTCOME = choice(OUTCOME_WORDS, several=True)
REVIEW_VERDICT = choice(
    {Review.Verdict.GOOD.value: pgettext_lazy("verdict", "Good"), Review.Verdict.DEFECTIVE.value: _("Defective")}
)
