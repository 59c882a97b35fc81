"""Reads: what the audit event of a finished comparison must say, for `verify_audit --records`."""

from __future__ import annotations

from typing import Any

from records.audit.chain.audited_rows import AuditedRows
from tuning.models import Comparison

FINISHED = "comparison.finished"


def expected_comparison(comparison: Comparison) -> dict[str, Any]:
    """`after` of the event: versions, thresholds, images and figures. `results_sha256` is over every score."""
    return {
        "candidate": comparison.candidate_id,
        "production": comparison.production_id,
        "candidate_threshold": comparison.candidate_threshold_id,
        "production_threshold": comparison.production_threshold_id,
        "dataset": comparison.dataset_id,
        "images": comparison.total,
        "images_sha256": comparison.images_sha256,
        "left_out": comparison.left_out,
        "figures": comparison.figures,
        "error_rate_difference": comparison.error_rate_difference,
    }


COMPARISONS = AuditedRows(
    kind=FINISHED,
    object_type=Comparison._meta.label_lower,
    rows=lambda: Comparison.objects.filter(status=Comparison.Status.FINISHED),
    expected_after=expected_comparison,
)
