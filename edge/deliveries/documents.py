"""What is said about a part: kept with the delivery, and as it goes out (docs/line.md)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.urls import reverse

from edge.connections.kinds import Message, Target, late_at
from edge.deliveries.models import Delivery
from inspection.models import Inspection, InspectionRequest

SCHEMA = "verdict/1"
NO_VERDICT = "no_verdict"


def record_content(inspection: Inspection) -> dict[str, Any]:
    """Of a record that was just written."""
    return {
        **_part(inspection.request),
        "category": inspection.category.name,
        "inspection_id": str(inspection.pk),
        "outcome": inspection.outcome,
        "reason": inspection.reason,
        "score": inspection.score,
        "threshold": inspection.threshold_value,
        "region_count": inspection.region_count,
        "largest_region_px": inspection.largest_region_px,
        "model_version": inspection.model_version_id,
        "threshold_revision": inspection.threshold.revision,
        "page_url": reverse("inspection", args=[inspection.pk]),
    }


def unjudged_content(request: InspectionRequest, *, reason: str) -> dict[str, Any]:
    """Of a request that has no record, or none yet."""
    return {
        **_part(request),
        "category": request.model_version.category.name,
        "inspection_id": None,
        "outcome": None,
        "reason": reason,
        "score": None,
        "threshold": None,
        "region_count": None,
        "largest_region_px": None,
        "model_version": request.model_version_id,
        "threshold_revision": None,
        "page_url": None,
    }


def _part(request: InspectionRequest) -> dict[str, Any]:
    return {
        "request_id": str(request.pk),
        "station": request.station,
        "part_number": request.part_number,
        "lot": request.lot,
        "serial_number": request.serial_number,
        "filename": request.filename,
    }


def message_of(delivery: Delivery, target: Target, *, now: datetime) -> Message:
    """A row whose attempt has just begun, as it goes out.

    The verdict is what the line acts on: past the line's time it is `no_verdict`, whatever the record says.
    """
    end = late_at(delivery.requested_at, target.line_time_ms)
    is_late = end is not None and now.timestamp() > end
    has_verdict = delivery.event == Delivery.Event.VERDICT and not is_late
    verdict = delivery.content["outcome"] if has_verdict else NO_VERDICT
    is_duplicate = delivery.may_have_arrived
    document = {
        "schema": SCHEMA,
        "event": delivery.event,
        "delivery_id": str(delivery.pk),
        "sequence": delivery.sequence,
        "attempt": delivery.attempts,
        "duplicate": is_duplicate,
        "resent": delivery.is_resent,
        "late": is_late,
        "verdict": verdict,
        "connection": target.name,
        **delivery.content,
        "requested_at": delivery.requested_at.isoformat(),
        "recorded_at": delivery.recorded_at.isoformat(),
        "sent_at": now.isoformat(),
    }
    return Message(
        delivery_id=str(delivery.pk),
        station=delivery.content["station"],
        category=delivery.content["category"],
        verdict=verdict,
        sequence=delivery.sequence,
        attempt=delivery.attempts,
        is_duplicate=is_duplicate,
        is_late=is_late,
        document=document,
    )
