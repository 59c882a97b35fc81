"""The JSON shapes of rescorings and their results."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.db.models import Count
from django.urls import reverse

from inspection.models import Inspection
from tuning.models import Rescored, RescoringRun


def rescoring_document(run: RescoringRun) -> dict[str, Any]:
    """What was asked for and how far it is."""
    version = run.model_version
    return {
        "rescoring_id": str(run.pk),
        "url": reverse("rescoring", args=[run.pk]),
        "results_url": reverse("rescoring-results", args=[run.pk]),
        "status": run.status,
        "model_version": version.pk,
        "version_number": version.number,
        "category": version.category.name,
        "threshold": run.threshold.value,
        "threshold_revision": run.threshold.revision,
        "device": run.device_requested,
        "runtime": run.runtime,
        "runtime_chosen": run.runtime_chosen,
        "precision": run.precision,
        "precision_chosen": run.precision_chosen,
        "filters": run.filters,
        "reason": run.reason,
        "total": run.total,
        "done": run.done,
        "failed": run.failed,
        "changed": run.changed,
        "progress": min(1.0, (run.done + run.failed) / run.total) if run.total else 1.0,
        "error_code": run.error_code,
        "error": run.error,
        "requested_by": run.requested_by.get_username() if run.requested_by else None,
        "created_at": run.created_at.isoformat(),
        "started_at": run.started_at.isoformat() if run.started_at else None,
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
    }


def rescoring_summary(run: RescoringRun) -> dict[str, Any]:
    """The verdicts of the records against the new ones, and against what people said who looked at the parts.

    What is not comparable agrees with no review. Reviews may come later than the run: this is as of now.
    """
    groups = list(
        Rescored.objects.filter(run=run)
        .order_by()
        .values("outcome", "error_code", "inspection__outcome", "inspection__standing__verdict")
        .annotate(count=Count("*"))
    )
    verdicts: Counter[tuple[str, str]] = Counter()
    failures: Counter[str] = Counter()
    reviewed: Counter[tuple[bool, bool]] = Counter()
    for group in groups:
        before, after, truth = group["inspection__outcome"], group["outcome"], group["inspection__standing__verdict"]
        if group["error_code"]:
            failures[group["error_code"]] += group["count"]
            continue
        verdicts[before, after] += group["count"]
        if truth:
            reviewed[before == truth, after == truth] += group["count"]
    outcomes = Inspection.Outcome.values
    return {
        "verdicts": [
            {"recorded": before, "rescored": after, "count": verdicts[before, after]}
            for before in outcomes
            for after in outcomes
        ],
        "failures": [{"code": code, "count": count} for code, count in sorted(failures.items())],
        "reviewed": {
            "total": reviewed.total(),
            "right_before": reviewed[True, True] + reviewed[True, False],
            "right_after": reviewed[True, True] + reviewed[False, True],
            "became_right": reviewed[False, True],
            "became_wrong": reviewed[True, False],
        },
        "rank_correlation": run.rank_correlation,
    }


def rescored_document(result: Rescored) -> dict[str, Any]:
    record = result.inspection
    standing = getattr(record, "standing", None)
    return {
        "inspection_id": str(record.pk),
        "inspection_url": reverse("api-inspection", args=[record.pk]),
        "filename": record.filename,
        "created_at": record.created_at.isoformat(),
        "recorded": {
            "model_version": record.model_version_id,
            "outcome": record.outcome,
            "score": record.score,
            "threshold": record.threshold_value,
            "p_value": record.p_value,
        },
        "outcome": result.outcome or None,
        "score": result.score,
        "p_value": result.p_value,
        "reason": result.reason,
        "error_code": result.error_code,
        "changed": bool(result.outcome) and result.outcome != record.outcome,
        "review": standing.verdict if standing else None,
    }
