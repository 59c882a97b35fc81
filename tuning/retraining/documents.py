"""The JSON shapes of a retraining, a comparison and an image of it."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from tuning.models import ComparedImage, Comparison, Retraining


def retraining_document(retraining: Retraining) -> dict[str, Any]:
    run = retraining.run
    return {
        "run_id": run.pk,
        "run_url": reverse("training-run", args=[run.pk]),
        "production": retraining.production_id,
        "dataset": str(run.dataset),
        "added_good": retraining.added_good,
        "added_test_good": retraining.added_test_good,
        "added_defective": retraining.added_defective,
    }


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    return {
        "comparison_id": str(comparison.pk),
        "category": comparison.candidate.category.name,
        "candidate": comparison.candidate_id,
        "production": comparison.production_id,
        "candidate_threshold": comparison.candidate_threshold.value,
        "production_threshold": comparison.production_threshold.value,
        "dataset": str(comparison.dataset),
        "status": comparison.status,
        "progress": comparison.progress,
        "images": comparison.total,
        "images_sha256": comparison.images_sha256,
        "left_out": comparison.left_out,
        "figures": comparison.figures or None,
        "error_rate_difference": comparison.error_rate_difference,
        "error": comparison.error,
        "requested_by": comparison.requested_by.get_username() if comparison.requested_by else None,
        "created_at": comparison.created_at.isoformat(),
        "finished_at": comparison.finished_at.isoformat() if comparison.finished_at else None,
        "differing_url": reverse("comparison-images", args=[comparison.pk]),
    }


def image_document(image: ComparedImage) -> dict[str, Any]:
    return {
        "sha256": image.asset.sha256,
        "is_defective": image.is_defective,
        "defect_type": image.defect_type,
        "source": image.source,
        "inspection_id": str(image.inspection_id) if image.inspection_id else None,
        "dataset_image": image.dataset_image_id,
        "candidate_score": image.candidate_score,
        "production_score": image.production_score,
    }
