"""Reads: batches, their items and counts."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Coalesce

from common.errors import NotFound
from inspection.models import BatchRun, Inspection, InspectionRequest
from modelzoo.models import Category, ModelVersion


# ---------------------------------------------------------------- reading
def with_deployment() -> QuerySet[BatchRun]:
    """With what every view of them names."""
    return BatchRun.objects.select_related("deployment__model_version__category", "requested_by").defer(
        *ModelVersion.long_columns("deployment__model_version")
    )


def batches(
    *, status: str = "", since: datetime | None = None, until: datetime | None = None, category: Category | None = None
) -> QuerySet[BatchRun]:
    """Those that were asked for in a time (from `since`, before `until`); what is not given asks for nothing."""
    conditions = {
        "status": status,
        "created_at__gte": since,
        "created_at__lt": until,
        "deployment__category": category,
    }
    return with_deployment().filter(**{name: value for name, value in conditions.items() if value})


def find_batch(batch_id: uuid.UUID) -> BatchRun:
    batch = with_deployment().filter(pk=batch_id).first()
    if batch is None:
        raise batch_not_found(batch_id)
    return batch


def batch_not_found(batch_id: uuid.UUID) -> NotFound:
    return NotFound(f"There is no batch {batch_id}.", code="batch_not_found")


_COUNTS = (
    *("total", "done", "failed", "cancelled", "good", "defective", "not_comparable", "reviewed", "overruled"),
    *("stands_good", "stands_defective", "stands_not_comparable"),
)
# What a part is taken for now, as `Inspection.standing_verdict`.
_STANDING_VERDICT = Coalesce("inspection__standing__verdict", "inspection__outcome")


def batch_counts(batch: BatchRun) -> dict[str, int]:
    """How far a batch is. What is done is good, defective or not comparable, by the model; `stands_` is what holds
    after the reviews; `failed` is what has no record.
    """
    return counts_by_batch([batch])[batch.pk]


def counts_by_batch(some: Sequence[BatchRun]) -> dict[uuid.UUID, dict[str, int]]:
    status, outcome = InspectionRequest.Status, Inspection.Outcome
    rows: Any = (
        InspectionRequest.objects.filter(batch__in=[batch.pk for batch in some])
        .order_by()
        .annotate(standing_verdict=_STANDING_VERDICT)
        .values("batch")
        .annotate(
            total=Count("pk"),
            done=Count("pk", filter=Q(status=status.DONE)),
            failed=Count("pk", filter=Q(status=status.FAILED)),
            cancelled=Count("pk", filter=Q(status=status.CANCELLED)),
            good=Count("pk", filter=Q(inspection__outcome=outcome.GOOD)),
            defective=Count("pk", filter=Q(inspection__outcome=outcome.DEFECTIVE)),
            not_comparable=Count("pk", filter=Q(inspection__outcome=outcome.NOT_COMPARABLE)),
            reviewed=Count("inspection__standing"),
            overruled=Count("pk", filter=Q(inspection__standing__overruled=True)),
            stands_good=Count("pk", filter=Q(standing_verdict=outcome.GOOD)),
            stands_defective=Count("pk", filter=Q(standing_verdict=outcome.DEFECTIVE)),
            stands_not_comparable=Count("pk", filter=Q(standing_verdict=outcome.NOT_COMPARABLE)),
        )
    )
    return {row["batch"]: {name: row[name] for name in _COUNTS} for row in rows}


def items_of(batch: BatchRun) -> QuerySet[InspectionRequest]:
    """In order, with all that is shown of their records."""
    names = (
        *("model_version__category", "threshold", "asset", "map", "calibration"),
        *("standing__reviewer", "standing__last_review"),
    )
    return (
        InspectionRequest.objects.filter(batch=batch)
        .select_related(*(f"inspection__{name}" for name in names))
        .defer(*ModelVersion.long_columns("inspection__model_version"))
        .order_by("position")
    )
