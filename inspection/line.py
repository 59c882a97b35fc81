"""Reads: what the line's page shows: which category it is about, the newest records, today's figures."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.db.models import Count, Q
from django.utils import timezone

from inspection import selectors
from inspection.history import Filters, keys, records_of
from inspection.models import Inspection, Standing
from modelzoo.detectors.intervals import proportion_interval
from modelzoo.models import Category, Deployment

LATEST = 24
# Of today at most so many are counted, of each day before a sample of its newest: who counts all, counts for long.
COUNTED_MOST, SAMPLED_MOST = 10_000, 1_000
DAYS, DAY_LEAST = 14, 20


def chosen(deployments: Sequence[Deployment], *, category: str = "", opened: Inspection | None = None) -> Deployment:
    """The deployment of the category that was asked for, else that of the opened record, else the one loaded last."""
    by_name = {deployment.category.name: deployment for deployment in deployments}
    found = by_name.get(category)
    if found is None and opened is not None:
        found = by_name.get(opened.model_version.category.name)
    return found or deployments[0]


def latest(category: Category | None) -> list[Inspection]:
    """The newest records, of one category or of all."""
    return records_of(keys(Filters(category=category))[:LATEST])


def opened(inspection_id: str) -> Inspection | None:
    """The record that an address names; None for an address that names none."""
    try:
        return selectors.inspections().filter(pk=uuid.UUID(inspection_id)).first()
    except ValueError:
        return None


# ---------------------------------------------------------------- today
@dataclass(frozen=True)
class Today:
    """One category's records since midnight. Shares are percentages."""

    day: date
    inspected: int
    more: bool  # there may be more: no more were counted
    defective: int
    overruled: int
    interval: tuple[float, float] | None  # of the share of defective ones, 95 %
    usual: tuple[float, float] | None  # lowest and highest share of the last days that had enough
    usual_days: int

    @property
    def share(self) -> float | None:
        return 100 * self.defective / self.inspected if self.inspected else None

    @property
    def unusual(self) -> str:
        """`more` or `fewer` where even the interval lies outside of what is usual."""
        if self.interval is None or self.usual is None:
            return ""
        if self.interval[0] > self.usual[1]:
            return "more"
        return "fewer" if self.interval[1] < self.usual[0] else ""


def today(category: Category) -> Today:
    day = timezone.localdate()
    inspected, defective = _counts(category, day, COUNTED_MOST)
    overruled = Standing.objects.filter(
        overruled=True, inspected_at__gte=_midnight(day), inspection__category=category
    ).order_by("-inspected_at")
    before = [_counts(category, day - timedelta(days=ago), SAMPLED_MOST) for ago in range(1, DAYS + 1)]
    shares = [100 * bad / total for total, bad in before if total >= DAY_LEAST]
    interval = proportion_interval(defective, inspected)
    return Today(
        day=day,
        inspected=inspected,
        more=inspected == COUNTED_MOST,
        defective=defective,
        overruled=overruled[:COUNTED_MOST].count(),
        interval=(100 * interval[0], 100 * interval[1]) if interval else None,
        usual=(min(shares), max(shares)) if len(shares) > 1 else None,
        usual_days=len(shares),
    )


def _counts(category: Category, day: date, most: int) -> tuple[int, int]:
    """How many of the newest records of a day there are, and how many of them are defective."""
    newest = Inspection.objects.filter(
        category=category, created_at__gte=_midnight(day), created_at__lt=_midnight(day + timedelta(days=1))
    ).order_by("-created_at", "-id")[:most]
    found = newest.aggregate(total=Count("pk"), bad=Count("pk", filter=Q(outcome=Inspection.Outcome.DEFECTIVE)))
    return found["total"], found["bad"]


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
