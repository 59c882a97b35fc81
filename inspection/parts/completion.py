"""Writes: the record of a part, as soon as nothing more is to come; in the transaction that ended its last view.

Judging calls it (`inspection.judging.worker`), so it knows rows alone and nothing of how images come. Whoever holds
both, locks the end of the audit chain before the part: the worker that writes a view's record has it already.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from inspection.endings import note_part_recorded
from inspection.judging.models import Inspection, InspectionRequest
from inspection.part_layouts.models import LayoutView
from inspection.parts.models import PartInspection, PartInspectionView, PartRequest, PartRequestView
from inspection.parts.verdict import JUDGED, ViewState, decide_part
from records.audit.chain.audited_rows import row_hash
from records.audit.services import audit, lock_audit_chain

PART_RECORDED = "part.recorded"
# What judging may end in that is the image's fault; after all else the view may come again while the part is open.
IMAGE_ERRORS = frozenset({"inspection_failed", "worker_died"})
# What a record of a part takes over from what was gathered.
SHARED = (
    *("layout_id", "layout_name", "part_id", "source", "station", "part_number", "lot", "serial_number"),
    *("operator_id", "opened_at"),
)
_MAX_EXPLANATION = 2000


@dataclass(frozen=True)
class ViewResult:
    """What is known of one view of a part. `state` is None while its image waits for its verdict."""

    view: LayoutView
    state: ViewState | None
    inspection: Inspection | None = None
    reason: str = ""
    explanation: str = ""
    row: PartRequestView | None = None  # what came for it; None: nothing yet

    @property
    def is_missing(self) -> bool:
        return self.state == ViewState.MISSING

    @property
    def standing_state(self) -> ViewState | None:
        """What the view is taken for now: a person's word where one stands, else what became of it."""
        return self.state if self.inspection is None else ViewState(self.inspection.standing_verdict)


def view_results(part: PartRequest) -> list[ViewResult]:
    """Of every view of the layout, in its order, as the database has them now."""
    rows = PartRequestView.objects.filter(part=part).select_related(
        "view__category", "request__inspection__model_version__category", "request__inspection__standing__reviewer"
    )
    by_view = {row.view_id: row for row in rows}
    views = LayoutView.objects.filter(layout=part.layout_id).select_related("category").order_by("position")
    return [_result(view, by_view.get(view.pk)) for view in views]


def _result(view: LayoutView, row: PartRequestView | None) -> ViewResult:
    if row is None:
        return ViewResult(view, ViewState.MISSING, reason="no_image", explanation="No image of it came.")
    if row.request is None:
        return ViewResult(view, ViewState.REFUSED, reason=row.refusal_code, explanation=row.refusal, row=row)
    request = row.request
    if request.status in InspectionRequest.OPEN:
        return ViewResult(view, None, row=row)
    if request.status == InspectionRequest.Status.DONE:
        record = request.inspection
        return ViewResult(view, ViewState(record.outcome), inspection=record, row=row)
    code = request.error_code or "not_judged"
    sentence = (request.error or "Its image came and was not judged in time.")[:500]
    state = ViewState.REFUSED if code in IMAGE_ERRORS else ViewState.MISSING
    return ViewResult(view, state, reason=code, explanation=sentence, row=row)


@transaction.atomic
def complete_part(*, part_request_id: uuid.UUID) -> PartInspection | None:
    """Write the record of an open part of which nothing more is to come, or whose time is over; else None.

    Whoever comes second finds it closed: the row is locked, and its status decides.
    """
    lock_audit_chain()
    part = PartRequest.objects.select_for_update(no_key=True).filter(pk=part_request_id).first()
    if part is None or part.status != PartRequest.Status.OPEN:
        return None
    results = view_results(part)
    if any(result.state is None for result in results):
        return None
    if any(result.is_missing for result in results) and not is_over(part):
        return None
    return _record(part, results)


def is_over(part: PartRequest) -> bool:
    """Whether no view is taken any more, by the clock of the database."""
    return PartRequest.objects.filter(pk=part.pk, closes_at__lte=Now()).exists()


def _record(part: PartRequest, results: Sequence[ViewResult]) -> PartInspection:
    PartRequest.objects.filter(pk=part.pk).update(status=PartRequest.Status.CLOSED)
    part.status = PartRequest.Status.CLOSED
    outcome = decide_part(str(result.state) for result in results)
    record = PartInspection.objects.create(
        request=part,
        outcome=outcome,
        explanation=explain(results),
        created_at=timezone.now(),
        **{name: getattr(part, name) for name in SHARED},
    )
    PartInspectionView.objects.bulk_create(
        PartInspectionView(
            part=record,
            view=result.view,
            state=result.state,
            inspection=result.inspection,
            reason="" if result.state in JUDGED else result.reason,
            explanation="" if result.state in JUDGED else result.explanation,
        )
        for result in results
        if result.state is not None
    )
    audit(kind=PART_RECORDED, subject=record, actor=part.operator, after=expected_part(record))
    note_part_recorded(record)
    return record


def explain(results: Sequence[ViewResult]) -> str:
    """Which views are not good, by what became of them; empty where all are."""
    sentences = []
    for state, words in _WORDS.items():
        names = [result.view.name for result in results if result.state == state]
        if names:
            sentences.append(f"{words} {', '.join(names)}.")
    return " ".join(sentences)[:_MAX_EXPLANATION]


_WORDS = {
    ViewState.DEFECTIVE: "Defective:",
    ViewState.MISSING: "Missing:",
    ViewState.REFUSED: "Refused:",
    ViewState.NOT_COMPARABLE: "Not comparable:",
}


def expected_part(part: PartInspection) -> dict[str, Any]:
    """`after` of `part.recorded`: the verdict, and of each view its state and its record."""
    views = PartInspectionView.objects.filter(part=part.pk).order_by("view__position")
    rows = views.values_list("view__name", "state", "inspection_id", "reason", "explanation")
    return {
        "part_id": part.part_id,
        "layout": part.layout_name,
        "layout_revision": part.layout.revision,
        "serial_number": part.serial_number,
        "outcome": part.outcome,
        "explanation": part.explanation,
        "views": [
            {
                "view": name,
                "state": state,
                "inspection": str(inspection) if inspection else None,
                "reason": reason,
                "explanation": explanation,
            }
            for name, state, inspection, reason, explanation in rows
        ],
        "row": row_hash(part),
    }


def move_view(*, ended: InspectionRequest, request: InspectionRequest) -> None:
    """An image that is judged again is the same view of the same part, while the part is open."""
    rows = PartRequestView.objects.filter(request=ended, part__status=PartRequest.Status.OPEN)
    rows.update(request=request)


def sweep_parts() -> None:
    """Close parts whose time is over. Images that came in time and wait for their verdict are waited for."""
    due = PartRequest.objects.filter(status=PartRequest.Status.OPEN, closes_at__lte=Now())
    for pk in due.order_by("closes_at").values_list("pk", flat=True):
        complete_part(part_request_id=pk)
