"""The JSON shape of a review."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from inspection.models import Review
from modelzoo.signatures.documents import signature_document


def review_document(review: Review) -> dict[str, Any]:
    """Of a row of `selectors.reviews`."""
    inspection = review.inspection
    return {
        "review_id": review.pk,
        "inspection_id": str(inspection.pk),
        "inspection_url": reverse("api-inspection", args=[inspection.pk]),
        "category": inspection.category.name,
        "outcome": inspection.outcome,
        "number": review.number,
        "verdict": review.verdict,
        "agrees": review.agrees,
        "defect_type": review.defect_type,
        "comment": review.comment,
        "regions": review.regions,
        "undoes": review.undoes_id,
        "reviewer": review.reviewer.get_username(),
        "created_at": review.created_at.isoformat(),
        "signature": signature_document(review),
    }
