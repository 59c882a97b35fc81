"""The JSON shape of a canary beside production."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from modelzoo.models import Deployment
from rollout.canaries.selectors import comparison_of
from rollout.challengers.documents import counts_document


def canary_document(canary: Deployment) -> dict[str, Any]:
    version = canary.model_version
    return {
        "canary_id": canary.pk,
        "url": reverse("api-canary", args=[canary.pk]),
        "category": canary.category.name,
        "station": canary.station,
        "model_version": version.pk,
        "version_number": version.number,
        "algorithm": version.algorithm,
        "active": canary.ended_at is None,
        "reason": canary.reason,
        "requested_by": canary.requested_by.get_username() if canary.requested_by else None,
        "activated_at": canary.activated_at.isoformat() if canary.activated_at else None,
        "ended_at": canary.ended_at.isoformat() if canary.ended_at else None,
    }


def full_canary_document(canary: Deployment) -> dict[str, Any]:
    """With what it judged beside production."""
    comparison = comparison_of(canary)
    return {
        **canary_document(canary),
        "of_canary": counts_document(comparison.canary),
        "of_production": counts_document(comparison.elsewhere),
        "of_station_before": counts_document(comparison.before),
    }
