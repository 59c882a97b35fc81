"""Records with scores that a test chooses, written without a model: for what is asked of stored scores alone."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.models import User

from inspection.models import Inspection, InspectionRequest, Review, Standing
from modelzoo.models import ModelVersion
from modelzoo.selectors import threshold_in_force
from records.models import Asset

BEGAN = datetime(2026, 3, 1, 8, tzinfo=UTC)


@dataclass(frozen=True)
class Part:
    """`score` None: not comparable. `truth`: what a review said; None: nobody looked."""

    score: float | None
    truth: str | None = None
    defect_type: str = ""


def stored(
    version: ModelVersion, parts: Sequence[Part], *, every: timedelta = timedelta(hours=1), **fields: Any
) -> list[Inspection]:
    """One record for each part, in order, judged at the threshold in force; and its review."""
    threshold = threshold_in_force(version.pk)
    asset, _ = Asset.objects.get_or_create(
        sha256="5" * 64, defaults={"size_bytes": 1, "content_type": "image/png", "width": 1, "height": 1}
    )
    requests = InspectionRequest.objects.bulk_create(
        InspectionRequest(
            asset=asset, model_version=version, filename=f"{index}.png", source="api", status="done", attempt=1
        )
        for index in range(len(parts))
    )
    records = Inspection.objects.bulk_create(
        Inspection(
            id=uuid.uuid4(),
            request=request,
            asset=asset,
            model_version=version,
            category_id=version.category_id,
            threshold=threshold,
            threshold_value=threshold.value,
            filename=request.filename,
            source="api",
            timings={},
            device="cpu",
            worker="test",
            code_version="test",
            created_at=BEGAN + index * every,
            **_says(part, threshold.value, asset),
            **fields,
        )
        for index, (part, request) in enumerate(zip(parts, requests, strict=True))
    )
    _review(records, parts)
    return records


def _says(part: Part, threshold: float, asset: Asset) -> dict[str, Any]:
    if part.score is None:
        return {"outcome": "not_comparable", "reason": "several_parts", "explanation": "There are two."}
    outcome = "defective" if part.score > threshold else "good"
    return {"outcome": outcome, "score": part.score, "map": asset, "map_maximum": 1.0}


def _review(records: Sequence[Inspection], parts: Sequence[Part]) -> None:
    reviewer = User.objects.get_or_create(username="rita")[0]
    seen = [(record, part, part.truth) for record, part in zip(records, parts, strict=True) if part.truth]
    reviews = Review.objects.bulk_create(
        Review(
            inspection=record,
            number=1,
            verdict=truth,
            agrees=None if part.score is None else truth == record.outcome,
            defect_type=part.defect_type,
            reviewer=reviewer,
            created_at=record.created_at,
        )
        for record, part, truth in seen
    )
    Standing.objects.bulk_create(
        Standing(
            inspection=record,
            last_review=review,
            verdict=review.verdict,
            defect_type=review.defect_type,
            reviewer=reviewer,
            overruled=review.verdict != record.outcome,
            contested=False,
            reviews=1,
            inspected_at=record.created_at,
        )
        for review, (record, _, _) in zip(reviews, seen, strict=True)
    )
