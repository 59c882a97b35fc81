"""Reads: the history of inspections: which records are meant, in which order, and as tables to take away."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, time, timedelta
from functools import reduce
from operator import or_
from typing import Any, NoReturn

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from common.api.requests import nearest_name, unknown_name
from common.errors import UserError
from inspection.models import Inspection, Review
from modelzoo.models import Category, ModelVersion, Threshold
from records.models import Asset

_MAX_ID = 2**63 - 1
# What no database keeps in a text: NUL, and halves of characters.
NO_CHARACTER = re.compile("[\0\ud800-\udfff]")
_LAST_CHARACTER = "\U0010ffff"


# ---------------------------------------------------------------- which records
@dataclass(frozen=True)
class Known:
    """What was asked for, and the ids of what it names, which may be none."""

    asked: str | int
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Search:
    """What was typed to find a part by, and the records that it finds; None: more than are worth naming.

    Few are named, so that a rare one is found by the indexes of `SEARCHED` however old it is. Where there are many,
    the newest of them are near the top of any list, and are found there.
    """

    asked: str
    ids: tuple[uuid.UUID, ...] | None

    @property
    def condition(self) -> Q:
        if self.ids is not None:
            return Q(pk__in=self.ids)
        return reduce(or_, (Q(**_begins_with(field, self.asked)) for field in SEARCHED))


# By what a part is looked for: each begins with what was typed. Each has an index for it.
SEARCHED = ("filename", "serial_number", "lot", "part_number")
_SEARCH_NAMED = 2000  # records of each


@dataclass(frozen=True)
class Filters:
    """Which records are meant; what is None or empty asks for nothing. One set for pages, exports, what-if, rescoring.

    Things are held as what they are and not by name: the database finds records by their number, in order.
    """

    since: datetime | None = None  # included
    until: datetime | None = None  # not included
    category: Category | None = None
    outcome: tuple[str, ...] = ()  # one of them
    score_min: float | None = None
    score_max: float | None = None
    model_version: int | None = None
    threshold: int | None = None  # its id
    threshold_revision: Known | None = None  # the number, and the revisions that bear it
    station: str = ""
    lot: str = ""
    part_number: str = ""
    source: str = ""
    operator: User | None = None
    serial_number: str = ""
    serial: str = ""  # how a serial number begins
    search: Search | None = None
    batch: uuid.UUID | None = None
    image_sha256: Known | None = None
    reviewed: bool | None = None
    # What was never reviewed is neither overruled nor not overruled, and so on.
    overruled: bool | None = None
    contested: bool | None = None
    review_verdict: str = ""
    reviewer: User | None = None  # of the review that stands

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Filters:
        """What `as_dict` froze."""
        return parse_filters(document)

    def as_dict(self) -> dict[str, Any]:
        """What was asked for as plain JSON, without what was not."""
        given = _given({field.name: getattr(self, field.name) for field in fields(self)})
        return {name: _plain(value) for name, value in given.items()}

    @property
    def of_reviewed(self) -> bool:
        """Whether only reviewed records are meant: their standings hold the same order, and are far fewer."""
        told = (self.overruled, self.contested, self.reviewer, self.review_verdict or None)
        return self.reviewed is True or any(value is not None for value in told)

    @property
    def ordering(self) -> tuple[str, str]:
        """Newest first, by the rows that lead there fastest."""
        if self.of_reviewed:
            return "-standing__inspected_at", "-standing__inspection_id"
        return "-created_at", "-id"

    def apply(self, queryset: QuerySet[Inspection]) -> QuerySet[Inspection]:
        """The records of a queryset that are meant."""
        of_record: dict[str, Any] = {
            "category": self.category and self.category.pk,
            "outcome__in": self.outcome,
            "score__gte": self.score_min,
            "score__lte": self.score_max,
            "model_version": self.model_version,
            "threshold": self.threshold,
            "threshold__in": self.threshold_revision and self.threshold_revision.ids,
            "station": self.station,
            "lot": self.lot,
            "part_number": self.part_number,
            "source": self.source,
            "operator": self.operator and self.operator.pk,
            "serial_number": self.serial_number,
            "request__batch": self.batch,
            "asset__in": self.image_sha256 and self.image_sha256.ids,
        }
        # Both know the moment. Who asks for little reads only the one table, who asks for more joins the two in the
        # order of time, by their indexes alone.
        moment = "standing__inspected_at" if self.of_reviewed else "created_at"
        of_time_and_review: dict[str, Any] = {
            f"{moment}__gte": self.since,
            f"{moment}__lt": self.until,
            "standing__isnull": None if self.reviewed is None else not self.reviewed,
            "standing__overruled": self.overruled,
            "standing__contested": self.contested,
            "standing__verdict": self.review_verdict,
            "standing__reviewer": self.reviewer and self.reviewer.pk,
        }
        if (self.image_sha256 and not self.image_sha256.ids) or (self.search and self.search.ids == ()):
            return queryset.none()
        if self.search:
            queryset = queryset.filter(self.search.condition)
        conditions = _given(of_record | _begins_with("serial_number", self.serial))
        if conditions and self.of_reviewed:
            conditions["standing__inspected_at"] = F("created_at")
        return queryset.filter(**conditions, **_given(of_time_and_review))


def _given(conditions: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in conditions.items() if value not in (None, "", ())}


def _begins_with(field: str, prefix: str) -> dict[str, str]:
    """The same on both databases, and by an index on both: SQLite's LIKE knows no case and therefore no index."""
    if not prefix:
        return {}
    if connection.vendor == "sqlite":
        return {f"{field}__gte": prefix, f"{field}__lt": prefix + _LAST_CHARACTER}
    return {f"{field}__startswith": prefix}


def _plain(value: Any) -> Any:
    if isinstance(value, Known | Search):
        return value.asked
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, int | float) else str(value)


# ---------------------------------------------------------------- what was asked for
def parse_filters(params: Mapping[str, Any], *, beside: Collection[str] = (), strict: bool = False) -> Filters:
    """What a query string or a JSON object asks for. An empty value asks for nothing, as forms send it.

    `beside`: names that mean something else to the caller. `strict`: an empty value is refused.

    Raises `UserError` with the code `invalid_filter` for names and values that are none of ours: a record that is left
    out because of a typing error would be a wrong answer.
    """
    found: dict[str, Any] = {}
    for name in params:
        if name in beside:
            continue
        if name not in _PARSERS:
            names = [*_PARSERS, *beside]
            raise UserError(
                f"{str(name)[:100]} is no filter. Nothing was looked up. {unknown_name(str(name), names, none='')}",
                code="invalid_filter",
                parameter=str(name)[:100],
                nearest=nearest_name(str(name), names),
            )
        texts = _texts(name, params.getlist(name) if hasattr(params, "getlist") else params[name])
        if not texts:
            if strict:
                refuse(name, "is empty; leave it out to ask for nothing")
            continue
        if name == "outcome":
            found[name] = tuple(sorted({_outcome(name, text) for text in texts}))
        elif len(texts) > 1:
            refuse(name, "is given more than once; only outcome may be")
        else:
            found[name] = _PARSERS[name](name, texts[0])
    if "period" in found:
        if "since" in found:
            refuse("period", "and since are both given; one of them says when it begins")
        found["since"] = found.pop("period")
    if "threshold_revision" in found:
        found["threshold_revision"] = _revisions(found["threshold_revision"], found.get("model_version"))
    return Filters(**found)


def given_as_words(words: Iterable[str]) -> dict[str, list[str]]:
    """Filters as commands take them, NAME=VALUE, for `parse_filters`."""
    found: dict[str, list[str]] = {}
    for text in words:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"A filter is given as NAME=VALUE, not {text!r}. Nothing was done.", code="invalid_filter")
        found.setdefault(name, []).append(value)
    return found


def refuse(name: str, why: str) -> NoReturn:
    raise UserError(f"{name} {why}. Nothing was looked up.", code="invalid_filter", parameter=name)


def _texts(name: str, value: Any) -> list[str]:
    """The values that were given, as texts, without the empty ones."""
    values = list(value) if isinstance(value, list | tuple) else [value]
    texts = []
    for one in values:
        if isinstance(one, bool):
            texts.append("yes" if one else "no")
        elif isinstance(one, str | int | float):
            texts.append(str(one))
        elif one is not None:
            refuse(name, "must be a text or a number")
    if any(NO_CHARACTER.search(text) for text in texts):
        refuse(name, "must not contain NUL characters or halves of characters")
    return [text for text in texts if text]


def _text(limit: int) -> Callable[[str, str], str]:
    def parse(name: str, text: str) -> str:
        return text if len(text) <= limit else refuse(name, f"must have at most {limit} characters")

    return parse


def _moment(*, end_of_day: bool) -> Callable[[str, str], datetime]:
    """A moment, or a day: from its beginning, to its end. Without an offset it is of the system's time zone."""

    def parse(name: str, text: str) -> datetime:
        # An unescaped + in an address arrives as a blank.
        text = re.sub(r"^(.*T.*) (\d\d:?\d\d)$", r"\1+\2", text)
        if len(text) > _LONGEST_MOMENT:
            refuse(name, _NO_MOMENT)
        try:
            day = parse_date(text)
            if day is not None:
                moment = datetime.combine(day + timedelta(days=1) if end_of_day else day, time.min)
            else:
                moment = parse_datetime(text) or refuse(name, _NO_MOMENT)
            if timezone.is_naive(moment):
                moment = timezone.make_aware(moment)
            return moment.astimezone(UTC)
        except (ValueError, OverflowError):
            refuse(name, _NO_MOMENT)

    return parse


_LONGEST_MOMENT = len("2026-11-24T08:00:00.000000+01:00:00.000000")
_NO_MOMENT = "must be a day (2026-11-24) or a moment (2026-11-24T08:00:00+01:00)"


def _period(name: str, text: str) -> datetime:
    """When a period that ends now began. Days are those of the system's time zone."""
    if text == "today":
        return timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
    return timezone.now() - PERIODS[text] if text in PERIODS else refuse(name, f"must be {either(['today', *PERIODS])}")


PERIODS = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    return value if math.isfinite(value) else refuse(name, "must be a finite number")


def _whole(name: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,19}", text) or not 0 < int(text) <= _MAX_ID:
        refuse(name, "must be a whole number from 1")
    return int(text)


def _yes_no(name: str, text: str) -> bool:
    known = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    return known[text] if text in known else refuse(name, "must be yes or no")


def _outcome(name: str, text: str) -> str:
    return text if text in Inspection.Outcome.values else refuse(name, f"must be {either(Inspection.Outcome.values)}")


def _verdict(name: str, text: str) -> str:
    return text if text in Review.Verdict.values else refuse(name, f"must be {either(Review.Verdict.values)}")


def either(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _uuid(name: str, text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        refuse(name, "must be a UUID")


def _category(name: str, text: str) -> Category:
    return Category.objects.filter(name=text).first() or refuse(name, f"names no category: {text[:100]}")


def _user(name: str, text: str) -> User:
    return User.objects.filter(username=text).first() or refuse(name, f"names nobody: {text[:150]}")


def _version(name: str, text: str) -> int:
    number = _whole(name, text)
    return number if ModelVersion.objects.filter(pk=number).exists() else refuse(name, f"{number} is unknown")


def _threshold(name: str, text: str) -> int:
    number = _whole(name, text)
    return number if Threshold.objects.filter(pk=number).exists() else refuse(name, f"{number} is unknown")


def _revisions(revision: int, version: int | None) -> Known:
    """All that bear this number, of one model version where one is named."""
    found = Threshold.objects.filter(revision=revision)
    if version is not None:
        found = found.filter(model_version=version)
    ids = tuple(found.order_by("pk").values_list("pk", flat=True))
    return Known(revision, ids) if ids else refuse("threshold_revision", f"{revision} is unknown")


def _search(name: str, text: str) -> Search:
    text = _text(100)(name, text)
    ids: set[uuid.UUID] = set()
    for field in SEARCHED:
        found = Inspection.objects.filter(**_begins_with(field, text)).order_by().values_list("pk", flat=True)
        some = list(found[: _SEARCH_NAMED + 1])
        if len(some) > _SEARCH_NAMED:
            return Search(text, None)
        ids.update(some)
    return Search(text, tuple(sorted(ids)))


def _image(name: str, text: str) -> Known:
    """Whether a picture was ever seen may be asked of any."""
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        refuse(name, "must be a SHA-256 in 64 small hex digits")
    return Known(text, tuple(Asset.objects.filter(sha256=text).values_list("pk", flat=True)))


_PARSERS: dict[str, Callable[[str, str], Any]] = {
    "period": _period,
    "since": _moment(end_of_day=False),
    "until": _moment(end_of_day=True),
    "category": _category,
    "outcome": _outcome,
    "score_min": _number,
    "score_max": _number,
    "model_version": _version,
    "threshold": _threshold,
    "threshold_revision": _whole,
    "station": _text(100),
    "lot": _text(100),
    "part_number": _text(100),
    "source": _text(16),
    "operator": _user,
    "serial_number": _text(100),
    "serial": _text(100),
    "search": _search,
    "batch": _uuid,
    "image_sha256": _image,
    "reviewed": _yes_no,
    "overruled": _yes_no,
    "contested": _yes_no,
    "review_verdict": _verdict,
    "reviewer": _user,
}
FILTER_NAMES = tuple(_PARSERS)
