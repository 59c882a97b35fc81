"""A record as it goes to the centre: the texts that the audit chain vouches for, and what its numbers mean there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from edge.nodes.wire import RECORDED, SCHEMA, event_values, row_text, sha256
from inspection.models import Inspection
from jobs.outbox import Refused
from records.audit.chain.named_files import fault_of_asset
from records.models import Asset, AuditEvent
from records.storage.errors import StorageFailed, StorageUnavailable


@dataclass(frozen=True)
class Package:
    """`document` goes as JSON beside the two files."""

    document: dict[str, Any]
    image: bytes
    map: bytes | None


def package_of(inspection: Inspection) -> Package:
    """Raises `Refused` where the record or a file of it is not what the audit chain says."""
    event = AuditEvent.objects.filter(
        kind=RECORDED, object_type=Inspection._meta.label_lower, object_id=str(inspection.pk)
    ).first()
    if event is None:
        raise Refused(f"No audit event reports record {inspection.pk}. Run manage.py edge --verify.")
    row = row_text(inspection)
    if json.loads(event.after)["row"] != sha256(row) or event.computed_hash() != event.hash:
        raise Refused(
            f"Record {inspection.pk} was changed after event {event.sequence} reported it. It is not forwarded. Keep "
            "the database as it is and run manage.py edge --verify."
        )
    threshold, calibration = inspection.threshold, inspection.calibration
    document = {
        "schema": SCHEMA,
        "record_id": str(inspection.pk),
        "row": row,
        "event": event_values(event),
        "artifact_sha256": inspection.model_version.artifact_sha256,
        "category": inspection.category.name,
        "min_region_mm2": threshold.min_region_mm2,
        "severity_grades": threshold.severity_grades,
        "mm_per_px": calibration.mm_per_px if calibration else None,
        "operator": inspection.operator.get_username() if inspection.operator else "",
    }
    return Package(document, _bytes_of(inspection.asset), _bytes_of(inspection.map) if inspection.map else None)


def _bytes_of(asset: Asset) -> bytes:
    fault = fault_of_asset(asset)
    if fault:
        raise Refused(f"A file of the record is not what the audit chain says: {fault}. It is not forwarded.")
    try:
        return asset.read()
    except (OSError, StorageFailed, StorageUnavailable) as error:
        raise Refused(f"A file of the record cannot be read ({error}).") from error
