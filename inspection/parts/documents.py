"""The JSON shape of a part: its verdict first, then its views with their records."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from inspection.judging.documents import standing_document
from inspection.parts.completion import ViewResult
from inspection.parts.selectors import Part


def part_document(part: Part) -> dict[str, Any]:
    """`outcome` is null until the part is closed: whoever waits for "good" has no verdict yet."""
    request, record = part.request, part.record
    about = record or request
    return {
        "id": str(request.pk),
        "part_id": request.part_id,
        "layout": request.layout_name,
        "layout_revision": request.layout.revision,
        "status": request.status,
        "outcome": record.outcome if record else None,
        "explanation": record.explanation if record else "",
        "standing_outcome": str(part.standing_outcome) if record else None,
        "missing": part.missing,
        "views": [_view_document(view) for view in part.views],
        "source": about.source,
        "station": about.station,
        "part_number": about.part_number,
        "lot": about.lot,
        "serial_number": about.serial_number,
        "operator": about.operator.get_username() if about.operator else None,
        "opened_at": request.opened_at.isoformat(),
        "closes_at": request.closes_at.isoformat(),
        "closed_at": record.created_at.isoformat() if record else None,
        "url": reverse("api-part", args=[request.pk]),
        "page_url": reverse("part", args=[request.pk]),
        "certificate_url": reverse("part-certificate", args=[request.pk]) if record else None,
    }


def _view_document(view: ViewResult) -> dict[str, Any]:
    record = view.inspection
    return {
        "view": view.view.name,
        "category": view.view.category.name,
        "state": str(view.state) if view.state else "pending",
        "code": view.reason,
        "detail": view.explanation or (record.explanation if record else ""),
        "inspection_id": str(record.pk) if record else None,
        "inspection_url": reverse("api-inspection", args=[record.pk]) if record else None,
        "page_url": reverse("inspection", args=[record.pk]) if record else None,
        "score": record.score if record else None,
        "threshold": record.threshold_value if record else None,
        "review": standing_document(getattr(record, "standing", None)) if record else None,
    }
