"""Reads: records, batches and the state of the line, in the shapes that API and pages show."""

from __future__ import annotations

import uuid

from django.db.models import QuerySet
from django.db.models.functions import Now

from common.errors import NotFound
from common.rights import Right, may
from inspection.models import Inspection, InspectionRequest, Review
from records.audit.services import Actor


def inspections() -> QuerySet[Inspection]:
    """Records with what every view of them names, newest first."""
    return Inspection.objects.select_related(
        "model_version__category",
        "threshold",
        "asset",
        "map",
        "operator",
        "request",
        "standing__reviewer",
        "calibration",
    ).order_by("-created_at", "-id")


def find_inspection(inspection_id: uuid.UUID, *, among: QuerySet[Inspection] | None = None) -> Inspection:
    rows = (inspections() if among is None else among).filter(pk=inspection_id).first()
    if rows is None:
        raise NotFound(f"There is no record {inspection_id}.", code="inspection_not_found")
    return rows


def review_ids_of(inspection_id: str) -> list[str]:
    """As the audit log names them; none of what is no inspection's id."""
    try:
        inspection_key = uuid.UUID(inspection_id)
    except ValueError:
        return []
    return [
        str(pk)
        for pk in Review.objects.filter(inspection=inspection_key).order_by("number").values_list("pk", flat=True)
    ]


# ---------------------------------------------------------------- requests
def waiting_requests() -> QuerySet[InspectionRequest]:
    """Single images whose callers wait for a verdict."""
    return InspectionRequest.objects.filter(batch__isnull=True, status__in=InspectionRequest.OPEN, deadline__gt=Now())


def find_request(request_id: uuid.UUID, *, actor: Actor) -> InspectionRequest:
    """What somebody asked for. Who may not read records finds their own requests alone."""
    rows = InspectionRequest.objects.select_related("asset", "inspection").filter(pk=request_id)
    if not may(actor, Right.READ):
        rows = rows.filter(operator=actor.pk if actor else None)
    request = rows.first()
    if request is None:
        raise NotFound(f"There is no request {request_id}.", code="request_not_found")
    return request
