"""Reads: canaries, and what they judged beside production."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, QuerySet
from django.utils import timezone

from common.errors import NotFound
from inspection.models import Inspection
from modelzoo.models import Deployment, ModelVersion
from rollout.challengers.selectors import Counts


def canaries(*, category: str = "", active: bool | None = None) -> QuerySet[Deployment]:
    """Those that were loaded for their station, the newest first."""
    rows = Deployment.objects.filter(activated_at__isnull=False).exclude(station="")
    if category:
        rows = rows.filter(category__name=category)
    if active is not None:
        rows = rows.filter(ended_at__isnull=active)
    return (
        rows.select_related("category", "model_version__category", "requested_by")
        .defer(*ModelVersion.long_columns("model_version"))
        .order_by("-id")
    )


def find_canary(deployment_id: int) -> Deployment:
    canary = canaries().filter(pk=deployment_id).first()
    if canary is None:
        raise NotFound(f"There is no canary {deployment_id}.", code="canary_not_found")
    return canary


@dataclass(frozen=True)
class Comparison:
    """What was judged in a window of time, single images of the line only.

    Attributes:
        canary: at its station.
        elsewhere: by production at all other stations in the same time.
        before: by production at the same station, in as long a time before.
    """

    canary: Counts
    elsewhere: Counts
    before: Counts


def comparison_of(canary: Deployment, *, until: datetime | None = None) -> Comparison:
    since = canary.activated_at
    assert since is not None, "canaries are those that were loaded"
    until = canary.ended_at or until or timezone.now()
    live = Inspection.objects.filter(
        category=canary.category_id, deployment__isnull=False, request__batch__isnull=True
    ).order_by()
    production = live.filter(deployment__station="")
    return Comparison(
        # A request that was on its way when the canary ended may have its record a moment later.
        canary=_counts(live.filter(deployment=canary)),
        elsewhere=_counts(
            production.filter(created_at__gte=since, created_at__lt=until).exclude(station=canary.station)
        ),
        before=_counts(
            production.filter(created_at__gte=since - (until - since), created_at__lt=since, station=canary.station)
        ),
    )


def _counts(records: QuerySet[Inspection]) -> Counts:
    counts = dict(records.values_list("outcome").annotate(count=Count("*")))
    return Counts(*(counts.get(outcome, 0) for outcome in Inspection.Outcome.values))
