"""The JSON shape of a promise beside what came."""

from __future__ import annotations

from typing import Any

from modelzoo.models import Threshold
from quality.promises import selectors


def promise_document(threshold: Threshold) -> dict[str, Any]:
    version, outcome = threshold.model_version, selectors.outcome_of(threshold)
    result = getattr(threshold, "promise_result", None)
    return {
        "threshold": threshold.pk,
        "revision": threshold.revision,
        "value": threshold.value,
        "model_version": version.pk,
        "category": version.category.name,
        "promised_at": threshold.created_at.isoformat(),
        "due_at": selectors.due_at(threshold).isoformat(),
        "compared_at": result.created_at.isoformat() if result else None,
        "until": outcome.until.isoformat(),
        "inspections": outcome.inspections,
        "reviewed": outcome.reviewed,
        "figures": outcome.figures,
    }
