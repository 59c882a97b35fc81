"""Reads: rescorings and their results."""

from __future__ import annotations

import uuid

from django.db.models import F, Q, QuerySet

from common.errors import NotFound
from modelzoo.models import ModelVersion
from tuning.models import Rescored, RescoringRun


# ---------------------------------------------------------------- scoring the past again
def rescorings() -> QuerySet[RescoringRun]:
    return RescoringRun.objects.select_related("model_version__category", "threshold", "requested_by").defer(
        *ModelVersion.long_columns("model_version")
    )


def find_rescoring(run_id: uuid.UUID) -> RescoringRun:
    rescoring = rescorings().filter(pk=run_id).first()
    if rescoring is None:
        raise NotFound(f"There is no re-scoring {run_id}.", code="rescoring_not_found")
    return rescoring


def rescored(run: RescoringRun, *, changed: bool | None = None) -> QuerySet[Rescored]:
    """The results of a run; `changed`: those whose outcome is, or is not, that of the record."""
    results = Rescored.objects.filter(run=run).select_related("inspection__standing")
    if changed is None:
        return results
    same = Q(outcome=F("inspection__outcome"))
    return results.filter(~same, error_code="") if changed else results.filter(same)
