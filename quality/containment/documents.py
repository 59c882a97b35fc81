"""The JSON shape of a containment and of its parts, and its list as a CSV file."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from inspection.csv_tables import DIALECTS, CsvTable
from inspection.models import Inspection
from quality.containment import selectors
from quality.models import ContainedPart, Containment
from records.models import AuditEvent

_COLUMNS = (
    *("place", "inspection_id", "inspected_at", "station", "part_number", "lot", "serial_number", "file"),
    *("image_sha256", "score", "threshold", "likeness", "rescored_outcome", "rescored_score", "audit_event_hash"),
)
_BOUND_COLUMNS = ("searched_since", "searched_since_what")


def containment_document(containment: Containment) -> dict[str, Any]:
    escape, rescoring = containment.escape, containment.rescoring
    return {
        "containment_id": str(containment.pk),
        "inspection_id": str(escape.pk),
        "category": escape.category.name,
        "model_version": escape.model_version_id,
        "threshold": escape.threshold_id,
        "since": containment.since.isoformat(),
        "since_what": containment.since_what,
        "bounds": containment.bounds or [],
        "until": containment.until.isoformat(),
        "min_likeness": containment.min_likeness,
        "rescoring_id": str(rescoring.pk) if rescoring else None,
        "reason": containment.reason,
        "status": containment.status,
        "passed": containment.passed,
        "searched": containment.searched,
        "without_map": containment.without_map,
        "listed": containment.listed,
        "expected_escapes": containment.expected.get("value"),
        "expected_interval": [containment.expected["low"], containment.expected["high"]]
        if containment.expected.get("basis")
        else None,
        "list_sha256": containment.list_sha256,
        "signature": containment.signature,
        "key_id": containment.key_id,
        "code": containment.error_code,
        "detail": containment.error,
        "requested_by": containment.requested_by.get_username() if containment.requested_by else None,
        "created_at": containment.created_at.isoformat(),
        "finished_at": containment.finished_at.isoformat() if containment.finished_at else None,
        "parts_url": reverse("containment-parts", args=[containment.pk]),
        "csv_url": reverse("containment-csv", args=[containment.pk]),
        "pdf_url": reverse("containment-pdf", args=[containment.pk]),
    }


def part_document(part: ContainedPart) -> dict[str, Any]:
    record = part.inspection
    return {
        "inspection_id": str(record.pk),
        "inspection_url": reverse("api-inspection", args=[record.pk]),
        "filename": record.filename,
        "serial_number": record.serial_number,
        "lot": record.lot,
        "station": record.station,
        "created_at": record.created_at.isoformat(),
        "score": record.score,
        "likeness": part.likeness,
        "rescored_outcome": part.rescored_outcome or None,
        "rescored_score": part.rescored_score,
    }


def list_csv(containment: Containment) -> bytes:
    """The list that is signed. A finished containment gives the same bytes for ever: one that is older than the
    bounds has no columns for them."""
    parts = selectors.listed_parts(containment)
    ids = [str(part.inspection_id) for part in parts]
    hashes: dict[str, str] = {}
    for begin in range(0, len(ids), 500):
        events = AuditEvent.objects.filter(
            kind="inspection.recorded", object_type="inspection.inspection", object_id__in=ids[begin : begin + 500]
        )
        hashes |= dict(events.order_by("-sequence").values_list("object_id", "hash"))
    has_bounds = containment.bounds is not None
    table = CsvTable(DIALECTS["plain"], (*_COLUMNS, *_BOUND_COLUMNS) if has_bounds else _COLUMNS)
    for place, part in enumerate(parts, 1):
        record = part.inspection
        table.write(
            [
                *(place, str(record.pk), record.created_at.isoformat(), record.station, record.part_number, record.lot),
                *(record.serial_number, record.filename, record.asset.sha256, record.score, record.threshold_value),
                *(part.likeness, part.rescored_outcome, part.rescored_score, hashes.get(str(record.pk), "")),
                *(_bound_of(containment, record) if has_bounds else ()),
            ]
        )
    return table.take().encode()


def _bound_of(containment: Containment, record: Inspection) -> tuple[str, str]:
    """Since when parts like this one were searched, and why."""
    if record.request.batch_id is None:
        for bound in containment.bounds or ():
            if bound["station"] == record.station:
                return bound["since"], f"reference parts passed: {', '.join(bound['reference_parts'])}"
    return containment.since.isoformat(), containment.get_since_what_display()
