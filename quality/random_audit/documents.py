"""The JSON shapes of plans, shifts and drawn parts, and the export with which a draw is verified without the system."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from common.version import PRODUCT
from quality.models import AuditedShift, DrawnPart, SamplingPlan
from quality.random_audit import selectors
from quality.random_audit.audited_rows import DECIDED
from records.audit.chain.hashes import Event
from records.models import AuditEvent

EXPORT_FORMAT = "random-audit-1"


def plan_document(plan: SamplingPlan) -> dict[str, Any]:
    return {
        "id": plan.pk,
        "category": plan.category.name,
        "revision": plan.revision,
        "percent": float(plan.percent),
        "at_least": plan.at_least,
        "controls": plan.controls,
        "shift_starts": plan.shift_starts,
        "reason": plan.reason,
        "author": plan.author.get_username() if plan.author else None,
        "created_at": plan.created_at.isoformat(),
    }


def shift_document(shift: AuditedShift) -> dict[str, Any]:
    return {
        "shift_id": str(shift.pk),
        "category": shift.category.name,
        "number": shift.number,
        "plan": shift.plan_id,
        "starts_at": shift.starts_at.isoformat(),
        "ends_at": shift.ends_at.isoformat(),
        "first_sequence": shift.first_sequence,
        "last_sequence": shift.last_sequence,
        "passed": shift.passed,
        "rejected": shift.rejected,
        "population_sha256": shift.population_sha256,
        "draws": shift.draws,
        "controls": shift.controls,
        "event_sequence": shift.event_sequence,
        "seed": shift.seed,
        "export_url": reverse("audited-shift-export", args=[shift.pk]),
    }


def shift_with_figures(shift: AuditedShift) -> dict[str, Any]:
    return shift_document(shift) | {"figures": figures_document(selectors.shift_figures(shift))}


def figures_document(figures: dict[str, Any]) -> dict[str, Any]:
    return {"passed": None, "shifts": None, "escapes": None, "exact_escapes": None} | figures


def blind_document(part: DrawnPart) -> dict[str, Any]:
    """A part to review: nothing that tells the model's verdict, not even which record it is."""
    return {
        "part_id": part.pk,
        "category": part.shift.category.name,
        "shift_ends_at": part.shift.ends_at.isoformat(),
        "image_url": reverse("api-blind-review-image", args=[part.pk]),
    }


def decision_document(part: DrawnPart) -> dict[str, Any]:
    """A part with its decision: now the model's verdict can be told."""
    decision = part.decision
    return {
        "part_id": part.pk,
        "shift_id": str(part.shift_id),
        "position": part.position,
        "inspection_id": str(part.inspection_id),
        "inspection_url": reverse("api-inspection", args=[part.inspection_id]),
        "outcome": part.inspection.outcome,
        "verdict": decision.verdict,
        "comment": decision.comment,
        "review_id": decision.review_id,
        "reviewer": decision.reviewer.get_username(),
        "created_at": decision.created_at.isoformat(),
    }


def export_document(shift: AuditedShift) -> dict[str, Any]:
    """All that `scripts/verify_random_audit.py` needs: parts, seed, draw, decisions, and the events that hold them.

    A part that nobody has decided on is there by its id, which it must be; its verdict is in the population anyway,
    so exports are for those who do not review.
    """
    members = selectors.population(shift.category_id, shift.first_sequence, shift.last_sequence)
    head = AuditEvent.objects.order_by("-sequence").values("sequence", "hash")[0]
    decisions = selectors.parts().filter(shift=shift, decision__isnull=False).order_by("position")
    events = AuditEvent.objects.filter(
        kind=DECIDED,
        object_type="quality.blinddecision",
        object_id__in=[str(part.decision.pk) for part in decisions],
    )
    return {
        "format": EXPORT_FORMAT,
        "made_by": PRODUCT,
        "shift": shift_document(shift),
        "closing_event": event_document(AuditEvent.objects.get(sequence=shift.event_sequence)),
        "population": [member._asdict() for member in members],
        "seed": shift.seed,
        "drawn": [str(pk) for pk in shift.parts.order_by("position").values_list("inspection_id", flat=True)],
        "decisions": [
            {"inspection_id": str(part.inspection_id), "verdict": part.decision.verdict} for part in decisions
        ],
        "decision_events": [event_document(event) for event in events.order_by("sequence")],
        "figures": figures_document(selectors.shift_figures(shift)),
        "head": head,
    }


def event_document(event: AuditEvent) -> dict[str, Any]:
    """An event as its hash covers it, in the spelling of an exported audit log."""
    fields = {name: getattr(event, name) for name in Event._fields}
    return fields | {"at": event.at.isoformat(timespec="microseconds")}
