"""Reads: what the audit events of inspections, reviews and parts must say, for `verify_audit --records`."""

from __future__ import annotations

from typing import Any

from inspection.models import Inspection, PartInspection, Review
from inspection.parts.completion import PART_RECORDED, expected_part
from records.audit.chain.audited_rows import AuditedRows, row_hash


def expected_inspection(inspection: Inspection) -> dict[str, Any]:
    """`after` of `inspection.recorded`. `row` covers the other fields: lot, serial number, operator, time, ..."""
    return {
        "image": inspection.asset.sha256,
        "filename": inspection.filename,
        "serial_number": inspection.serial_number,
        "model_version": inspection.model_version_id,
        "threshold": inspection.threshold_id,
        "outcome": inspection.outcome,
        "reason": inspection.reason,
        "score": inspection.score,
        "p_value": inspection.p_value,
        "regions": inspection.region_count,
        **_size_values(inspection),
        "map": inspection.map.sha256 if inspection.map else None,
        "row": row_hash(inspection),
    }


def _size_values(inspection: Inspection) -> dict[str, Any]:
    """What the event says of the sizes of regions; nothing where they were not measured."""
    values = {
        "calibration": inspection.calibration_id,
        "ignored_regions": inspection.ignored_region_count,
        "severity": inspection.severity,
    }
    return {name: value for name, value in values.items() if value is not None}


def expected_review(review: Review) -> dict[str, Any]:
    """What `after` of `review.recorded` says of the review itself."""
    return {
        "inspection": str(review.inspection_id),
        "number": review.number,
        "verdict": review.verdict,
        "agrees": review.agrees,
        "defect_type": review.defect_type,
        "comment": review.comment,
        "regions": review.regions,
        "undoes": review.undoes_id,
        "row": row_hash(review),
    }


INSPECTIONS = AuditedRows(
    kind="inspection.recorded",
    object_type=Inspection._meta.label_lower,
    rows=lambda: Inspection.objects.select_related("asset", "map"),
    expected_after=expected_inspection,
)
REVIEWS = AuditedRows(
    kind="review.recorded",
    object_type=Review._meta.label_lower,
    rows=Review.objects.all,
    expected_after=expected_review,
)
PARTS = AuditedRows(
    kind=PART_RECORDED,
    object_type=PartInspection._meta.label_lower,
    rows=lambda: PartInspection.objects.select_related("layout"),
    expected_after=expected_part,
)
