"""Reads: reference parts, and whether a station is proven in this shift."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop as _

from common.errors import NotFound
from inspection.models import Inspection
from modelzoo.models import Category
from monitoring.models import DoubtfulPeriod, DriftMonitor, ReferenceCheck, ReferencePart

UNPROVEN, PROVEN, FAILED = _("unproven"), _("proven"), _("failed")
# Stations that were silent for longer have no state.
_RECENT = timedelta(days=1)
_CHECKS = 100


@dataclass(frozen=True)
class StationState:
    """Whether the reference parts passed at a station since its shift began. `missing`: serial numbers that did not."""

    category: Category
    station: str
    state: str
    since: datetime
    missing: list[str]


def parts(*, category: str = "") -> QuerySet[ReferencePart]:
    """Those in use, then the retired ones."""
    rows = ReferencePart.objects.select_related("category", "author").order_by("-pk")
    return rows.filter(category__name=category) if category else rows


def find_part(part_id: int) -> ReferencePart:
    """Raises `NotFound`."""
    part = parts().filter(pk=part_id).first()
    if part is None:
        raise NotFound(f"There is no reference part {part_id}.", code="reference_part_not_found")
    return part


def shift_start(now: datetime) -> datetime:
    """When the present shift began: the last of `SHIFT_STARTS`, in the time of the server."""
    local = timezone.localtime(now)
    starts = [time.fromisoformat(text) for text in settings.SHIFT_STARTS]
    moments = [
        timezone.make_aware(datetime.combine(local.date() - timedelta(days=days), start))
        for days in (0, 1)
        for start in starts
    ]
    return max(moment for moment in moments if moment <= now)


def station_states(categories: Iterable[Category], *, now: datetime | None = None) -> list[StationState]:
    """Of every station that has inspected lately, in the categories that have reference parts."""
    now = now or timezone.now()
    since = shift_start(now)
    states = []
    for category in categories:
        active = list(ReferencePart.objects.filter(category=category, retired_at__isnull=True))
        if not active:
            continue
        monitors = DriftMonitor.objects.filter(category=category, of_batches=False, last_record_at__gte=now - _RECENT)
        stations = set(monitors.values_list("station", flat=True))
        checks = ReferenceCheck.objects.filter(part__in=active, checked_at__gte=since, checked_at__lte=now)
        last = {(check.part_id, check.station): check.passed for check in checks.order_by("checked_at", "id")}
        for station in sorted(stations | {station for _part, station in last}):
            results = {part.serial_number: last.get((part.pk, station)) for part in active}
            missing = sorted(name for name, passed in results.items() if not passed)
            failed = False in results.values()
            state = FAILED if failed else UNPROVEN if missing else PROVEN
            states.append(StationState(category, station, state, since, missing))
    return states


def all_states() -> list[StationState]:
    return station_states(Category.objects.filter(reference_parts__retired_at__isnull=True).distinct().order_by("name"))


def doubts_of(record: Inspection) -> list[DoubtfulPeriod]:
    """The times in doubt that a record lies in."""
    moment = record.created_at
    periods = DoubtfulPeriod.objects.select_related("part").filter(category=record.category_id, station=record.station)
    return list(
        periods.filter(Q(begins_at__isnull=True) | Q(begins_at__lt=moment)).filter(
            Q(ends_at__isnull=True) | Q(ends_at__gt=moment)
        )
    )


def checks_of(part: ReferencePart) -> list[ReferenceCheck]:
    """The last ones, newest first."""
    return list(part.checks.select_related("inspection").order_by("-checked_at", "-id")[:_CHECKS])


def part_document(part: ReferencePart) -> dict[str, Any]:
    """Of a row of `parts`."""
    return {
        "id": part.pk,
        "category": part.category.name,
        "serial_number": part.serial_number,
        "expected": part.expected,
        "lowest_score": part.lowest_score,
        "highest_score": part.highest_score,
        "note": part.note,
        "author": part.author.get_username() if part.author else None,
        "created_at": part.created_at.isoformat(),
        "retired_at": part.retired_at.isoformat() if part.retired_at else None,
    }


def whole_document(part: ReferencePart) -> dict[str, Any]:
    """With its last checks."""
    return part_document(part) | {
        "checks": [
            {
                "inspection_id": str(check.inspection_id),
                "station": check.station,
                "score": check.inspection.score,
                "passed": check.passed,
                "explanation": check.explanation,
                "checked_at": check.checked_at.isoformat(),
            }
            for check in checks_of(part)
        ]
    }


def state_document(state: StationState) -> dict[str, Any]:
    return {
        "category": state.category.name,
        "station": state.station,
        "state": state.state,
        "since": state.since.isoformat(),
        "missing": state.missing,
    }
