"""Reads: which records of the history are meant. Every filter is declared once, as a field of `Filters`.

Its declaration is all that the parser, the form and the chips of the page, the parameters of the API with their schema
and the options of commands know of it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.contrib.auth.models import User
from django.db.models import F, Q, QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from common.api.requests import nearest_name, unknown_name
from common.errors import UserError
from common.numbers import score_text
from inspection.history import filter_values as values
from inspection.history.filter_values import NO_CHARACTER, Kind, ResolvedIds, Search, begins_with, refuse
from inspection.models import Inspection
from modelzoo.models import Category, ModelVersion, Threshold


class Group(StrEnum):
    """Where the page has the field of a filter: in a group of its form, or as the search at its top."""

    SEARCH = "Search"
    WHEN = "When"
    RESULT = "Result"
    JUDGED_BY = "Judged by"
    PART = "Part"
    ORIGIN = "Came from"
    REVIEW = "Review"


GROUP_WORDS = {
    Group.SEARCH: _("Search"),
    Group.WHEN: _("When"),
    Group.RESULT: _("Result"),
    Group.JUDGED_BY: _("Judged by"),
    Group.PART: _("Part"),
    Group.ORIGIN: _("Came from"),
    Group.REVIEW: _("Review"),
}


class Table(StrEnum):
    """Which table a filter is looked up in. Both know the moment, and whether there is a review."""

    RECORD = "record"
    STANDING = "standing"
    EITHER = "either"


@dataclass(frozen=True)
class Filter:
    """One way to narrow the history down."""

    label: str | Promise
    kind: Kind
    lookup: str | Callable[[Any], Q]  # of the database; {moment}: the column that holds the time
    help: str = ""  # of the API's parameter
    table: Table = Table.RECORD
    group: Group | None = None  # None: no field; the filter comes with links of other pages
    suggestions: str = ""  # the list that its field suggests values from
    shortcuts: Mapping[str, str | Promise] = field(default_factory=dict)  # of one click, and their chips' words
    shortcut_label: str | Promise = ""
    words: Callable[[str], str] | None = None  # what a chip calls a value

    def in_words(self, value: str) -> str:
        return self.words(value) if self.words else str(self.kind.choices.get(value, value))

    def condition(self, value: Any, *, moment: str) -> Q:
        if not isinstance(self.lookup, str):
            return self.lookup(value)
        return Q(**{self.lookup.format(moment=moment): value.ids if isinstance(value, ResolvedIds) else value})


def _filter(*args: Any, **more: Any) -> dict[str, Filter]:
    """The metadata of a field that is a filter."""
    return {"filter": Filter(*args, **more)}


def _version_words(value: str) -> str:
    if not value.isascii() or not value.isdecimal() or len(value) > 18:
        return value
    return str(ModelVersion.objects.select_related("category").filter(pk=value).first() or value)


def _threshold_words(value: str) -> str:
    if not value.isascii() or not value.isdecimal() or len(value) > 18:
        return value
    threshold = Threshold.objects.select_related("model_version__category").filter(pk=value).first()
    if threshold is None:
        return value
    version = threshold.model_version
    others = ModelVersion.objects.exclude(pk=version.pk).exists()
    shown: dict[str, Any] = {"score": score_text(threshold.value), "n": threshold.revision}
    if not others:
        return str(_("%(score)s (revision %(n)s)")) % shown
    shown["model"] = f"{version.category.name} v{version.number}"
    return str(_("%(score)s (revision %(n)s of %(model)s)")) % shown


@dataclass(frozen=True)
class Filters:
    """Which records are meant; what is None or empty asks for nothing. One set for pages, exports, what-if, rescoring.

    Things are held as what they are and not by name: the database finds records by their number, in order. A filter
    that is to be fast in every combination has an index (see docs/history.md).
    """

    # `since` is included, `until` is not
    since: datetime | None = field(
        default=None,
        metadata=_filter(
            _("From"),
            values.moment(end_of_day=False, example="2026-11-01"),
            "{moment}__gte",
            "from this day or moment on; without an offset in the system's time zone",
            table=Table.EITHER,
            group=Group.WHEN,
        ),
    )
    until: datetime | None = field(
        default=None,
        metadata=_filter(
            _("Until"),
            values.moment(end_of_day=True, example="2026-11-30"),
            "{moment}__lt",
            "to the end of this day, or before this moment",
            table=Table.EITHER,
            group=Group.WHEN,
        ),
    )
    category: Category | None = field(
        default=None, metadata=_filter(_("Category"), values.CATEGORY, "category", "name", group=Group.JUDGED_BY)
    )
    outcome: tuple[str, ...] = field(
        default=(),
        metadata=_filter(
            _("Model's verdict"),
            values.OUTCOME,
            "outcome__in",
            "one of those that are given",
            group=Group.RESULT,
            shortcuts=values.OUTCOME.choices,
        ),
    )
    score_min: float | None = field(
        default=None,
        metadata=_filter(
            _("Score at least"), values.NUMBER, "score__gte", "records with a score not below this", group=Group.RESULT
        ),
    )
    score_max: float | None = field(
        default=None,
        metadata=_filter(
            _("Score at most"), values.NUMBER, "score__lte", "records with a score not above this", group=Group.RESULT
        ),
    )
    model_version: int | None = field(
        default=None,
        metadata=_filter(
            _("Model"), values.MODEL_VERSION, "model_version", "id", group=Group.JUDGED_BY, words=_version_words
        ),
    )
    threshold: int | None = field(
        default=None,
        metadata=_filter(
            _("Threshold"), values.THRESHOLD, "threshold", "id of a threshold revision", words=_threshold_words
        ),
    )
    threshold_revision: ResolvedIds | None = field(
        default=None,
        metadata=_filter(
            _("Threshold revision"),
            values.WHOLE_NUMBER,
            "threshold__in",
            "its number, of `model_version` or of any",
            group=Group.JUDGED_BY,
        ),
    )
    station: str = field(
        default="", metadata=_filter(_("Station"), values.text(), "station", group=Group.ORIGIN, suggestions="stations")
    )
    part_number: str = field(
        default="",
        metadata=_filter(_("Part number"), values.text(), "part_number", group=Group.PART, suggestions="part_numbers"),
    )
    lot: str = field(default="", metadata=_filter(_("Lot"), values.text(), "lot", group=Group.PART, suggestions="lots"))
    source: str = field(
        default="",
        metadata=_filter(
            _("Source"),
            values.text(16, compares_case=False),
            "source",
            "how the image came: api, web, command, ...",
            group=Group.ORIGIN,
            suggestions="sources",
        ),
    )
    operator: User | None = field(
        default=None,
        metadata=_filter(
            _("Operator"),
            values.USER,
            "operator",
            "user name of who had it inspected",
            group=Group.ORIGIN,
            suggestions="people",
        ),
    )
    serial_number: str = field(
        default="", metadata=_filter(_("Serial number"), values.text(), "serial_number", "whole")
    )
    serial: str = field(
        default="",
        metadata=_filter(
            _("Serial number begins with"),
            values.text(),
            lambda prefix: begins_with("serial_number", prefix),
            "how the serial number begins",
        ),
    )
    search: Search | None = field(
        default=None,
        metadata=_filter(
            _("File, serial, lot or part begins with"),
            values.SEARCH,
            lambda search: search.condition,
            "how the file name, the serial number, the lot or the part number begins",
            table=Table.EITHER,  # it mostly names the records by their ids
            group=Group.SEARCH,
        ),
    )
    batch: uuid.UUID | None = field(default=None, metadata=_filter(_("Batch"), values.UUID, "request__batch"))
    image_sha256: ResolvedIds | None = field(
        default=None,
        metadata=_filter(
            _("Image"),
            values.IMAGE_SHA256,
            "asset__in",
            "of the image file as it was sent",
            words=lambda sha256: f"{sha256[:12]}...",
        ),
    )
    reviewed: bool | None = field(
        default=None,
        metadata=_filter(
            _("Reviewed"),
            values.YES_NO,
            lambda reviewed: Q(standing__isnull=not reviewed),
            table=Table.EITHER,
            group=Group.REVIEW,
            shortcuts={"no": _("Not reviewed")},
            shortcut_label=_("Review"),
        ),
    )
    review_verdict: str = field(
        default="",
        metadata=_filter(
            _("Person's verdict"),
            values.REVIEW_VERDICT,
            "standing__verdict",
            "that stands",
            table=Table.STANDING,
            group=Group.REVIEW,
        ),
    )
    reviewer: User | None = field(
        default=None,
        metadata=_filter(
            _("Reviewer"),
            values.USER,
            "standing__reviewer",
            "user name of whose review stands",
            table=Table.STANDING,
            group=Group.REVIEW,
            suggestions="people",
        ),
    )
    # What was never reviewed is neither overruled nor not overruled, and so on.
    overruled: bool | None = field(
        default=None,
        metadata=_filter(
            _("Overruled"),
            values.YES_NO,
            "standing__overruled",
            "of the reviewed ones: whether the review that stands differs from the verdict",
            table=Table.STANDING,
            group=Group.REVIEW,
            shortcuts={"yes": _("Overruled")},
            shortcut_label=_("Review"),
        ),
    )
    contested: bool | None = field(
        default=None,
        metadata=_filter(
            _("Contested"),
            values.YES_NO,
            "standing__contested",
            "of the reviewed ones: whether reviews differ among themselves",
            table=Table.STANDING,
            group=Group.REVIEW,
            shortcuts={"yes": _("Contested")},
            shortcut_label=_("Review"),
        ),
    )

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Filters:
        """What `as_dict` froze."""
        return parse_filters(document)

    def as_dict(self) -> dict[str, Any]:
        """What was asked for as plain JSON, without what was not."""
        return {name: _plain(value) for name, value in self._values_by_name().items()}

    def _values_by_name(self) -> dict[str, Any]:
        by_name = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in by_name.items() if value not in (None, "", ())}

    @property
    def of_reviewed(self) -> bool:
        """Whether only reviewed records are meant: their standings hold the same order, and are far fewer."""
        return self.reviewed is True or any(FILTERS[name].table == Table.STANDING for name in self._values_by_name())

    @property
    def ordering(self) -> tuple[str, str]:
        """Newest first, by the rows that lead there fastest."""
        if self.of_reviewed:
            return "-standing__inspected_at", "-standing__inspection_id"
        return "-created_at", "-id"

    def apply(self, queryset: QuerySet[Inspection]) -> QuerySet[Inspection]:
        """The records of a queryset that are meant."""
        values_by_name = self._values_by_name()
        # Both tables know the moment. Who asks for little reads only the one, who asks for more joins the two in the
        # order of time, by their indexes alone.
        moment = "standing__inspected_at" if self.of_reviewed else "created_at"
        conditions = [FILTERS[name].condition(value, moment=moment) for name, value in values_by_name.items()]
        if self.of_reviewed and any(FILTERS[name].table == Table.RECORD for name in values_by_name):
            conditions.append(Q(standing__inspected_at=F("created_at")))
        return queryset.filter(*conditions)


def _plain(value: Any) -> Any:
    if isinstance(value, ResolvedIds | Search):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, int | float) else str(value)


# Another way to say `since`.
_PERIOD = Filter(
    _("Period"),
    values.PERIOD,
    "{moment}__gte",
    "until now, instead of `since`; days are those of the system's time zone",
    table=Table.EITHER,
    group=Group.WHEN,
    shortcuts=values.PERIOD.choices,
)
FILTERS: Mapping[str, Filter] = {"period": _PERIOD} | {one.name: one.metadata["filter"] for one in fields(Filters)}
FILTER_NAMES = tuple(FILTERS)


# ---------------------------------------------------------------- what was asked for
def parse_filters(params: Mapping[str, Any], *, other_names: Collection[str] = (), strict: bool = False) -> Filters:
    """What a query string or a JSON object asks for. An empty value asks for nothing, as forms send it.

    `other_names`: those that mean something else to the caller. `strict`: an empty value is refused.

    Raises `UserError` with the code `invalid_filter` for names and values that are none of ours: a record that is left
    out because of a typing error would be a wrong answer.
    """
    parsed: dict[str, Any] = {}
    for name in params:
        if name in other_names:
            continue
        if name not in FILTERS:
            names = [*FILTER_NAMES, *other_names]
            raise UserError(
                f"{str(name)[:100]} is not a filter. Nothing was read. {unknown_name(str(name), names, none='')}",
                code="invalid_filter",
                parameter=str(name)[:100],
                nearest=nearest_name(str(name), names),
            )
        texts = _texts(name, params.getlist(name) if hasattr(params, "getlist") else params[name])
        if not texts:
            if strict:
                refuse(name, "is empty; leave it out")
            continue
        kind = FILTERS[name].kind
        if kind.several:
            parsed[name] = tuple(sorted({kind.parse(name, text) for text in texts}))
        elif len(texts) > 1:
            several = [other for other in FILTER_NAMES if FILTERS[other].kind.several]
            refuse(name, f"is given more than once; only {', '.join(several)} may be")
        else:
            parsed[name] = kind.parse(name, texts[0])
    if "period" in parsed:
        if "since" in parsed:
            refuse("period", "and since are both given; use one of them")
        parsed["since"] = parsed.pop("period")
    if "threshold_revision" in parsed:
        parsed["threshold_revision"] = values.resolve_revision(
            parsed["threshold_revision"], parsed.get("model_version")
        )
    return Filters(**parsed)


def split_arguments(arguments: Iterable[str]) -> dict[str, list[str]]:
    """Filters as commands take them, NAME=VALUE, for `parse_filters`."""
    by_name: dict[str, list[str]] = {}
    for text in arguments:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"A filter is given as NAME=VALUE, not {text!r}. Nothing was done.", code="invalid_filter")
        by_name.setdefault(name, []).append(value)
    return by_name


def _texts(name: str, value: Any) -> list[str]:
    """The values that were given, as texts, without the empty ones."""
    texts = []
    for one in value if isinstance(value, list | tuple) else [value]:
        if isinstance(one, bool):
            texts.append("yes" if one else "no")
        elif isinstance(one, str | int | float):
            texts.append(str(one))
        elif one is not None:
            refuse(name, "must be a text or a number")
    if any(NO_CHARACTER.search(text) for text in texts):
        refuse(name, "must not contain NUL or incomplete characters")
    return [text for text in texts if text]
