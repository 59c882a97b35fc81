"""Reads: whether this edge node still is what its audit chain says, and what its centre was told.

Three questions, each of which finds what the one before cannot: do rows and files say what their events say; does the
chain still hold what the centre signed (receipts, kept here); does it hold what the centre has (asked there). Who
changes a row together with the chain answers the first one right, and the other two not.
"""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, field
from typing import Any

from common.errors import UserError
from edge.centre.client import CentreClient
from edge.centre.receipts import fault_of
from edge.centre.services import centre_connections
from edge.connections.sealing import Unreadable
from edge.connections.selectors import find_connection, target_of
from edge.models import CentreReceipt
from edge.nodes.wire import RECORDED, row_text, sha256
from inspection.models import Inspection
from jobs.outbox import NotDelivered
from records.audit.chain.audited_rows import verify_all
from records.audit.chain.outside import checkpoints_outside
from records.models import AuditEvent

_CHUNK = 200


@dataclass
class EdgeReport:
    """What was found. `anchors` and `forwarded` are None where the centre was not asked."""

    events: int = 0
    records: int | None = None
    files: int | None = None
    receipts: int = 0
    anchors: int | None = None
    forwarded: int | None = None
    faults: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def verify_edge(*, is_online: bool = True) -> EdgeReport:
    """Raises `NotDelivered` where the centre has to be asked and does not answer."""
    own = verify_all(records=True, files=True, elsewhere=checkpoints_outside())
    report = EdgeReport(events=own.events, records=own.records, files=own.files)
    if own.sentence:
        report.faults.append(own.sentence)
    _check_receipts(report)
    if is_online:
        _check_centre(report)
    return report


def _check_receipts(report: EdgeReport) -> None:
    for receipt in CentreReceipt.objects.order_by("sequence").iterator(chunk_size=_CHUNK):
        fault = fault_of(receipt)
        if not fault and not _has(receipt.sequence, receipt.head):
            fault = "the chain here has another event there"
        if fault:
            report.faults.append(f"The centre's receipt of event {receipt.sequence}: {fault}.")
        else:
            report.receipts += 1


def _has(sequence: int, head: str) -> bool:
    return AuditEvent.objects.filter(sequence=sequence, hash=head).exists()


def _check_centre(report: EdgeReport) -> None:
    rows = centre_connections()
    if not rows:
        raise NotDelivered("This installation has no centre. Verify it without one: manage.py edge --verify --offline")
    try:
        client = CentreClient(target_of(find_connection(rows[0].pk)))
    except (Unreadable, UserError) as error:
        raise NotDelivered("Its token cannot be read. Set it again.") from error
    report.anchors = report.forwarded = 0
    agreed = 0
    for anchor in client.pages("anchors"):
        if _has(int(anchor["sequence"]), str(anchor["head"])):
            report.anchors, agreed = report.anchors + 1, int(anchor["sequence"])
            continue
        report.faults.append(
            f"The chain here is not the one that the centre anchored at event {anchor['sequence']}: it was changed "
            f"after event {agreed}."
        )
        break
    chunk: list[dict[str, Any]] = []
    for record in client.pages("records"):
        chunk.append(record)
        if len(chunk) == _CHUNK:
            _compare(chunk, report)
            chunk = []
    _compare(chunk, report)


def _compare(chunk: list[dict[str, Any]], report: EdgeReport) -> None:
    """Records as the centre took them with those that are here."""
    assert report.forwarded is not None
    keys = [uuid.UUID(str(one["record_id"])) for one in chunk]
    here = {str(row.pk): row for row in Inspection.objects.select_related("asset", "map").filter(pk__in=keys)}
    events = AuditEvent.objects.filter(
        kind=RECORDED, object_type=Inspection._meta.label_lower, object_id__in=[str(key) for key in keys]
    )
    hashes = dict(events.values_list("object_id", "hash"))
    for record in chunk:
        row, key = here.get(record["record_id"]), record["record_id"]
        if row is None:
            report.faults.append(f"Record {key} is at the centre and not here.")
        elif sha256(row_text(row)) != record["row_sha256"] or row.asset.sha256 != record["image_sha256"]:
            report.faults.append(f"Record {key} is not what the centre took.")
        elif hashes.get(key) != record["event_sha256"]:
            report.faults.append(f"The event of record {key} is not the one that the centre took.")
        else:
            report.forwarded += 1
