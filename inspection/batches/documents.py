"""The JSON shapes of batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from django.db.models import Count
from django.urls import reverse
from django.utils import timezone

from common.numbers import seconds_between
from inspection.batches.selectors import counts_by_batch, items_of
from inspection.judging.documents import inspection_document
from inspection.models import BatchRun, InspectionRequest

MAP_FORMS = ("url", "none")  # never the maps themselves: a batch may have thousands


def summaries(some: Sequence[BatchRun]) -> list[dict[str, Any]]:
    """Batches with their counts and their speed, without their items."""
    counts = counts_by_batch(some)
    return [_summary(batch, counts[batch.pk]) for batch in some]


def _summary(batch: BatchRun, counts: dict[str, int]) -> dict[str, Any]:
    seconds = seconds_between(batch.started_at, batch.finished_at or timezone.now())
    version = batch.deployment.model_version
    return {
        "batch_id": str(batch.pk),
        "name": batch.name,
        "status": batch.status,
        "cancel_requested": batch.cancel_requested,
        "url": reverse("batch", args=[batch.pk]),
        "model_version": version.pk,
        "version_number": version.number,
        "algorithm": version.algorithm,
        "category": version.category.name,
        "requested_by": batch.requested_by.get_username() if batch.requested_by else None,
        **counts,
        "progress": (counts["done"] + counts["failed"]) / counts["total"],
        "created_at": batch.created_at.isoformat(),
        "started_at": batch.started_at.isoformat() if batch.started_at else None,
        "finished_at": batch.finished_at.isoformat() if batch.finished_at else None,
        "duration_seconds": None if seconds is None else round(seconds, 3),
        "images_per_second": round(counts["done"] / seconds, 3) if seconds else None,
    }


_QUANTILES = {"minimum": 0.0, "p05": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "maximum": 1.0}


def batch_summary(batch: BatchRun) -> dict[str, Any]:
    """One batch without its items, with why some failed and how the scores lie."""
    items = InspectionRequest.objects.filter(batch=batch).order_by()
    failed = items.filter(status=InspectionRequest.Status.FAILED).values_list("error_code").annotate(Count("pk"))
    scored = items.filter(inspection__score__isnull=False).values_list("inspection__score", flat=True)
    scores = np.array(list(scored), np.float64)
    quantiles = np.quantile(scores, list(_QUANTILES.values())).tolist() if scores.size else None
    return summaries([batch])[0] | {
        "failed_by_code": dict(sorted(failed)),
        "warnings": batch.warnings,
        "scores": dict(zip(_QUANTILES, quantiles, strict=True)) if quantiles else None,
    }


def item_document(item: InspectionRequest, *, anomaly_map: str = "url") -> dict[str, Any]:
    """One image of a batch: its record, or the reason why there is none."""
    document: dict[str, Any] = {"position": item.position, "filename": item.filename, "status": item.status}
    if item.path:
        document["path"] = item.path
    if item.status == InspectionRequest.Status.DONE:
        record = item.inspection
        standing = getattr(record, "standing", None)
        document |= inspection_document(record, anomaly_map=anomaly_map) | {
            "version_number": record.model_version.number,
            "standing_verdict": record.standing_verdict,
            "reviewed_at": standing.last_review.created_at.isoformat() if standing else None,
        }
    elif item.status == InspectionRequest.Status.FAILED:
        document |= {"code": item.error_code, "detail": item.error}
    return document


def batch_document(batch: BatchRun, *, anomaly_map: str = "url", results: bool = True) -> dict[str, Any]:
    """A batch with its progress and, item by item, the record or the reason why there is none."""
    items = items_of(batch) if results else ()
    return batch_summary(batch) | {"results": [item_document(item, anomaly_map=anomaly_map) for item in items]}
