"""The JSON shapes of a budget, a part to review and a decision."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.urls import reverse

from modelzoo.models import Category
from quality.models import QueueDecision, Reservation
from quality.review_queue import selectors
from quality.review_queue.order import Place


def budget_document(category: Category) -> dict[str, Any]:
    row = selectors.newest_budget(category)
    return {
        "category": category.name,
        "revision": row.revision if row else 0,
        **asdict(selectors.budget_in_force(category)),
        "reason": row.reason if row else "",
        "author": row.author.get_username() if row and row.author else None,
        "created_at": row.created_at.isoformat() if row else None,
    }


def progress_document(category: Category) -> dict[str, Any]:
    progress = selectors.progress_of(category)
    return {
        "category": category.name,
        "budget": progress.budget,
        "done": progress.done,
        "overruled": progress.overruled,
        "shift_starts_at": progress.starts_at.isoformat(),
        "shift_ends_at": progress.ends_at.isoformat(),
    }


def place_document(place: Place) -> dict[str, Any]:
    return {
        "inspection_id": str(place.key),
        "inspection_url": reverse("api-inspection", args=[place.key]),
        "worth": place.worth,
        "cause": place.cause,
        "why": place.why,
    }


def card_document(reservation: Reservation) -> dict[str, Any]:
    """The part before a person; of one of the random audit nothing that tells which record it is."""
    blind, record = reservation.part_id is not None, reservation.inspection
    return {
        "card_id": reservation.pk,
        "category": reservation.category.name,
        "cause": reservation.cause,
        "why": reservation.why,
        "expires_at": reservation.expires_at.isoformat(),
        "image_url": reverse("api-blind-review-image", args=[reservation.part_id])
        if blind
        else reverse("inspection-picture", args=[record.pk]),
        "inspection_id": None if blind else str(record.pk),
        "outcome": None if blind else record.outcome,
        "score": None if blind else record.score,
        "threshold": None if blind else record.threshold_value,
    }


def next_document(category: Category, reservation: Reservation | None) -> dict[str, Any]:
    return {
        "progress": progress_document(category),
        "card": card_document(reservation) if reservation else None,
    }


def decision_document(decision: QueueDecision) -> dict[str, Any]:
    """A decision; now the model's verdict can be told, unless nothing was said of a part of the random audit."""
    is_hidden = decision.cause == "random_audit" and decision.decision == QueueDecision.Decision.SKIPPED
    return {
        "decision": decision.decision,
        "cause": decision.cause,
        "inspection_id": None if is_hidden else str(decision.inspection_id),
        "outcome": None if is_hidden else decision.inspection.outcome,
        "review_id": decision.review_id,
        "overruled": decision.review.agrees is False if decision.review else False,
        "created_at": decision.created_at.isoformat(),
    }
