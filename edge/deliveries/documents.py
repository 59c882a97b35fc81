"""What is said about a part: kept with the delivery, and as it goes out (docs/line.md)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.urls import reverse

from edge.connections.kinds import Message, Target, late_at
from edge.deliveries.models import Delivery
from inspection.models import Inspection, InspectionRequest, PartInspection, PartInspectionView, PartRequest

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
        "part": None,
    }


def unjudged_content(request: InspectionRequest, *, reason: str) -> dict[str, Any]:
    """Of a request that has no record, or none yet."""
    return {
        **_part(request),
        **_NOT_OF_ONE_IMAGE,
        "category": request.model_version.category.name,
        "reason": reason,
        "model_version": request.model_version_id,
    }


# What is said of one image alone; of a part of several views, each view's record says it.
_NOT_OF_ONE_IMAGE: dict[str, Any] = {
    "category": "",
    "inspection_id": None,
    "outcome": None,
    "score": None,
    "threshold": None,
    "region_count": None,
    "largest_region_px": None,
    "model_version": None,
    "threshold_revision": None,
    "page_url": None,
    "part": None,
}


def part_content(record: PartInspection) -> dict[str, Any]:
    """Of the record of a part of several views that was just written."""
    views = PartInspectionView.objects.filter(part=record.pk).order_by("view__position")
    return {
        **_part_of_views(record),
        "outcome": record.outcome,
        "reason": record.explanation,
        "page_url": reverse("part", args=[record.pk]),
        "part": {
            "id": str(record.pk),
            "part_id": record.part_id,
            "layout": record.layout_name,
            "views": [
                {
                    "view": view.view.name,
                    "category": view.view.category.name,
                    "state": view.state,
                    "inspection_id": str(view.inspection_id) if view.inspection_id else None,
                    "reason": view.reason,
                }
                for view in views.select_related("view__category")
            ],
        },
    }


def unjudged_part_content(part: PartRequest, *, reason: str) -> dict[str, Any]:
    """Of a part of several views that has no record yet."""
    said = {"id": str(part.pk), "part_id": part.part_id, "layout": part.layout_name, "views": []}
    return {**_part_of_views(part), "reason": reason, "part": said}


def _part_of_views(part: PartRequest | PartInspection) -> dict[str, Any]:
    said = {name: getattr(part, name) for name in ("station", "part_number", "lot", "serial_number")}
    return {**_NOT_OF_ONE_IMAGE, **said, "request_id": str(part.pk), "filename": ""}


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
