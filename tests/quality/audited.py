"""Records with their audit events, as judging writes them, and shifts that end when a test says so."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.db import transaction

from inspection.audited_rows import expected_inspection
from inspection.models import Inspection
from modelzoo.models import Category, ModelVersion
from modelzoo.selectors import threshold_in_force
from quality.models import AuditedShift, SamplingPlan
from quality.random_audit import selectors, services
from records.audit.services import audit
from tests.scores import Part, stored


def judged(version: ModelVersion, *, good: int = 0, defective: int = 0, **fields: Any) -> list[Inspection]:
    """So many records below and above the threshold in force, each with its event; the good ones first."""
    value = threshold_in_force(version.pk).value
    scores = [value * (0.5 + 0.4 * index / max(1, good)) for index in range(good)]
    scores += [value * (1.1 + index / 100) for index in range(defective)]
    return recorded(stored(version, [Part(score) for score in scores], **fields))


def recorded(records: Sequence[Inspection]) -> list[Inspection]:
    for record in Inspection.objects.filter(pk__in=[one.pk for one in records]).order_by("created_at"):
        with transaction.atomic():
            audit(kind="inspection.recorded", subject=record, actor=None, after=expected_inspection(record))
    return list(records)


def plan(category: Category, percent: float = 10, **fields: Any) -> SamplingPlan:
    values: dict[str, Any] = {"shift_starts": ["06:00", "14:00", "22:00"], "reason": "test", "actor": None, **fields}
    return services.set_plan(category=category, percent=Decimal(str(percent)), **values)


def close(category: Category) -> AuditedShift:
    """The shift that goes on, as if it ended now."""
    [shift] = services.close_due_shifts(now=selectors.open_shift(category).ends_at)
    return shift
