"""Reads: inspections and reviews as their audit events must tell them, for `verify_audit --records`."""

from __future__ import annotations

from typing import Any

from inspection.models import Inspection, Review
from records.audit.chain.audited_rows import Attested, fingerprint


def said_of_inspection(inspection: Inspection) -> dict[str, Any]:
    """`after` of `inspection.recorded`. `row` vouches for the rest: lot, serial number, operator, time, ..."""
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
        "map": inspection.map.sha256 if inspection.map else None,
        "row": fingerprint(inspection),
    }


def said_of_review(review: Review) -> dict[str, Any]:
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
        "row": fingerprint(review),
    }


INSPECTIONS = Attested(
    kind="inspection.recorded",
    object_type=Inspection._meta.label_lower,
    rows=lambda: Inspection.objects.select_related("asset", "map"),
    said=said_of_inspection,
)
REVIEWS = Attested(
    kind="review.recorded",
    object_type=Review._meta.label_lower,
    rows=Review.objects.all,
    said=said_of_review,
)
