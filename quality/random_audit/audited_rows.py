"""Reads: what the audit events of shifts and blind decisions must say, for `verify_audit --records`."""

from __future__ import annotations

from typing import Any

from quality.models import AuditedShift, BlindDecision
from records.audit.chain.audited_rows import AuditedRows, row_hash

SHIFT_CLOSED = "audited_shift.closed"
DECIDED = "blind_review.decided"


def expected_shift(shift: AuditedShift) -> dict[str, Any]:
    """`after` of the event that closes a shift: its parts and how many are drawn are fixed before its hash is known."""
    return {
        "category": shift.category.name,
        "number": shift.number,
        "plan_revision": shift.plan.revision,
        "percent": f"{shift.plan.percent:f}",
        "at_least": shift.plan.at_least,
        "planned_controls": shift.plan.controls,
        "starts_at": shift.starts_at.isoformat(),
        "ends_at": shift.ends_at.isoformat(),
        "first_sequence": shift.first_sequence,
        "last_sequence": shift.last_sequence,
        "passed": shift.passed,
        "rejected": shift.rejected,
        "population_sha256": shift.population_sha256,
        "draws": shift.draws,
        "controls": shift.controls,
    }


def expected_decision(decision: BlindDecision) -> dict[str, Any]:
    """`after` of the event of a blind decision."""
    return {
        "shift": str(decision.part.shift_id),
        "position": decision.part.position,
        "inspection": str(decision.part.inspection_id),
        "verdict": decision.verdict,
        "comment": decision.comment,
        "row": row_hash(decision),
    }


SHIFTS = AuditedRows(
    kind=SHIFT_CLOSED,
    object_type=AuditedShift._meta.label_lower,
    rows=lambda: AuditedShift.objects.select_related("category", "plan"),
    expected_after=expected_shift,
)
DECISIONS = AuditedRows(
    kind=DECIDED,
    object_type=BlindDecision._meta.label_lower,
    rows=lambda: BlindDecision.objects.select_related("part"),
    expected_after=expected_decision,
)
