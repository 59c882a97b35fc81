"""What a report is about: which records, and from when to when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import models
from django.db.models import Max, Min
from django.utils import timezone
from django.utils.translation import gettext_noop as _

from common.errors import NotFound, UserError
from inspection.history import filter_values
from inspection.models import Inspection
from modelzoo.models import Category
from modelzoo.selectors import find_category
from quality.random_audit.selectors import plan_in_force
from quality.random_audit.shifts import shift_at

MAX_SPAN = timedelta(days=366)
_AT = filter_values.moment(end_of_day=False, example="2026-11-01")
_UNTIL = filter_values.moment(end_of_day=True, example="2026-11-30")


class Kind(models.TextChoices):
    """Reports by their window. The first four follow each other without a gap, so they can be made by schedule."""

    SHIFT = "shift", _("shift report")
    DAY = "day", _("daily report")
    WEEK = "week", _("weekly report")
    MONTH = "month", _("monthly report")
    PERIOD = "period", _("period report")
    LOT = "lot", _("lot report")


REGULAR = (Kind.SHIFT, Kind.DAY, Kind.WEEK, Kind.MONTH)


@dataclass(frozen=True)
class Scope:
    """Which records a report is about: `until` is not included. Empty: all categories, stations, lots."""

    kind: str
    since: datetime
    until: datetime
    category: Category | None = None
    station: str = ""
    lot: str = ""

    def is_over(self, now: datetime) -> bool:
        """Whether nothing more can come into it. A lot has no end: more of it may be inspected at any time."""
        return self.kind != Kind.LOT and self.until <= now

    @property
    def title(self) -> str:
        words = Kind(self.kind).label.capitalize()
        place = [self.category.name if self.category else "all categories"]
        place += [f"station {self.station}"] if self.station else []
        place += [f"lot {self.lot}"] if self.lot else []
        return f"{words}: {', '.join(place)}"


def shift_starts(category: Category | None) -> list[str]:
    """Of the category's sampling plan, so that a shift is the same one as that which is audited; else the system's."""
    plan = plan_in_force(category) if category else None
    return list(plan.shift_starts if plan else settings.SHIFT_STARTS)


def window_at(kind: str, moment: datetime, category: Category | None = None) -> tuple[datetime, datetime]:
    """Begin and end of the shift, day, week (from Monday) or month that a moment lies in, in the system's time zone."""
    if kind == Kind.SHIFT:
        return shift_at(moment, shift_starts(category))
    zone = timezone.get_default_timezone()
    assert isinstance(zone, ZoneInfo)
    day = moment.astimezone(zone).date()
    first = {
        Kind.DAY: day,
        Kind.WEEK: day - timedelta(days=day.weekday()),
        Kind.MONTH: day.replace(day=1),
    }[Kind(kind)]
    after = {
        Kind.DAY: first + timedelta(days=1),
        Kind.WEEK: first + timedelta(days=7),
        Kind.MONTH: (first + timedelta(days=31)).replace(day=1),
    }[Kind(kind)]
    begin, end = (datetime.combine(date, time.min, zone).astimezone(UTC) for date in (first, after))
    return begin, end


def regular_scope(kind: str, moment: datetime, category: Category | None = None, station: str = "") -> Scope:
    """The shift, day, week or month that a moment lies in."""
    since, until = window_at(kind, moment, category)
    return Scope(kind, since, until, category, station)


def parse_scope(params: Mapping[str, Any]) -> Scope:
    """What a form, a query string or a JSON object asks for. Nothing: the present shift of all categories.

    Raises `UserError` for values that are none, and `NotFound` for a category or a lot that there is not.
    """
    values = {name: str(params.get(name) or "").strip() for name in FIELDS}
    kind = filter_values.choice(dict(Kind.choices)).parse("kind", values["kind"] or Kind.SHIFT)
    category = find_category(values["category"]) if values["category"] else None
    station = filter_values.text().parse("station", values["station"])
    if kind == Kind.LOT:
        _refuse_others(values, kind, "at", "since", "until")
        return _lot_scope(filter_values.text().parse("lot", values["lot"]), category, station)
    if kind == Kind.PERIOD:
        _refuse_others(values, kind, "at", "lot")
        return _period_scope(values, category, station)
    _refuse_others(values, kind, "since", "until", "lot")
    moment = _AT.parse("at", values["at"]) if values["at"] else timezone.now()
    if not datetime(1970, 2, 1, tzinfo=UTC) < moment < datetime(9000, 1, 1, tzinfo=UTC):
        raise _invalid("at is no day of a calendar that is in use.")
    return regular_scope(kind, moment, category, station)


FIELDS = ("kind", "category", "station", "lot", "at", "since", "until")


def _refuse_others(values: Mapping[str, str], kind: str, *names: str) -> None:
    """A value that would be left out silently would give another report than was meant."""
    for name in names:
        if values[name]:
            raise _invalid(f"{name} does not belong to a {Kind(kind).label}.")


def _period_scope(values: Mapping[str, str], category: Category | None, station: str) -> Scope:
    if not values["since"] or not values["until"]:
        raise _invalid("A period report needs since and until.")
    since, until = _AT.parse("since", values["since"]), _UNTIL.parse("until", values["until"])
    if not since < until <= since + MAX_SPAN:
        raise _invalid(f"The period must end after it begins, and span at most {MAX_SPAN.days} days.")
    return Scope(Kind.PERIOD, since, until, category, station)


def _lot_scope(lot: str, category: Category | None, station: str) -> Scope:
    """From the first to the last record of the lot."""
    if not lot:
        raise _invalid("A lot report needs lot.")
    records = Inspection.objects.order_by().filter(lot=lot)
    records = records.filter(category=category) if category else records
    records = records.filter(station=station) if station else records
    ends = records.aggregate(first=Min("created_at"), last=Max("created_at"))
    if ends["first"] is None:
        raise NotFound(f"There is no record of lot {lot}. Check its spelling.", code="lot_not_found")
    return Scope(Kind.LOT, ends["first"], ends["last"] + timedelta(microseconds=1), category, station, lot)


def _invalid(sentence: str) -> UserError:
    return UserError(f"{sentence} No report was made.", code="invalid")
