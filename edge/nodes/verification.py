"""Reads: whether what came from a node is still what its audit chain said. Asks nothing of the node.

That no row or file here was changed is for `verify_audit --records --files`; this compares what they say with the texts
of the node, and these with the states of its chain that are anchored in ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from edge.nodes.models import EdgeNode, ForwardedRecord, NodeAnchor
from edge.nodes.selectors import anchors, records
from edge.nodes.wire import sha256
from records.audit.chain.hashes import HASHED_WITH_KEY, hash_of
from records.audit.chain.row_values import canonical_value
from records.models import AuditEvent

_CHUNK = 200
_AFTER = HASHED_WITH_KEY.index("after")
# Of a record, what is the same on the node and here.
_SAME = (
    *("outcome", "score", "p_value", "reason", "explanation", "input_findings", "image_statistics", "map_maximum"),
    *("regions", "region_count", "largest_region_px", "min_region_px", "ignored_region_count", "severity"),
    *("ignored_outlines", "filename", "station", "part_number", "lot", "serial_number", "timings", "device"),
    *("code_version", "created_at", "threshold_value"),
)


@dataclass
class NodeReport:
    """What was found. `pending`: records whose events are not anchored yet."""

    node: str
    records: int = 0
    pending: int = 0
    anchors: int = 0
    sequence: int = 0
    head: str = ""
    faults: list[str] = field(default_factory=list)


def verify_node(node: EdgeNode) -> NodeReport:
    report = NodeReport(node.name)
    hashes = _Hashes(node, report)
    rows = records(node).select_related("inspection__asset", "inspection__map").iterator(chunk_size=_CHUNK)
    for record in rows:
        fault = _fault_of(record)
        anchored = hashes.of(record.sequence)
        if not fault and anchored and anchored != record.event_sha256:
            fault = f"event {record.sequence} was anchored as another one"
        if not anchored:
            report.pending += 1
        if fault:
            report.faults.append(f"record {record.record_id} of the node (here {record.inspection_id}): {fault}")
        else:
            report.records += 1
    hashes.finish()
    return report


class _Hashes:
    """The anchored hashes of a node's events, read once and in order, each anchor checked on the way."""

    def __init__(self, node: EdgeNode, report: NodeReport) -> None:
        self._report = report
        self._anchors: Iterator[NodeAnchor] = anchors(node).iterator(chunk_size=_CHUNK)
        self._first, self._hashes, self._last = 1, list[str](), 0

    def of(self, sequence: int) -> str:
        """In ascending order; empty where it is not anchored yet."""
        while sequence > self._last and self._advance():
            pass
        return self._hashes[sequence - self._first] if self._first <= sequence <= self._last else ""

    def finish(self) -> None:
        while self._advance():
            pass

    def _advance(self) -> bool:
        anchor = next(self._anchors, None)
        if anchor is None:
            return False
        hashes = anchor.hashes.split("\n")
        if anchor.first != self._last + 1 or len(hashes) != anchor.sequence - anchor.first + 1:
            self._report.faults.append(f"the anchors have a gap before event {anchor.sequence}")
        elif hashes[-1] != anchor.head or not _is_reported(anchor):
            self._report.faults.append(f"the anchor at event {anchor.sequence} is not the one that our chain reports")
        self._first, self._hashes, self._last = anchor.first, hashes, anchor.sequence
        self._report.anchors += 1
        self._report.sequence, self._report.head = anchor.sequence, anchor.head
        return True


def _is_reported(anchor: NodeAnchor) -> bool:
    event = AuditEvent.objects.filter(
        kind="edge_node.anchored", object_type=NodeAnchor._meta.label_lower, object_id=str(anchor.pk)
    ).first()
    if event is None:
        return False
    after = json.loads(event.after)
    return bool((after["first"], after["sequence"], after["head"]) == (anchor.first, anchor.sequence, anchor.head))


def _fault_of(record: ForwardedRecord) -> str:
    """What does not agree, no full stop; empty: all does."""
    try:
        values, row = json.loads(record.event), json.loads(record.row)
        after = json.loads(values[_AFTER])
    except (ValueError, IndexError, TypeError):
        return "its texts cannot be read"
    if hash_of(values) != record.event_sha256:
        return "its event was changed"
    if sha256(record.row) != record.row_sha256 or after.get("row") != record.row_sha256:
        return "its row was changed"
    inspection = record.inspection
    if after.get("image") != inspection.asset.sha256:
        return "its image is another one"
    if after.get("map") != (inspection.map.sha256 if inspection.map else None):
        return "its anomaly map is another one"
    for name in _SAME:
        if _said(row.get(name)) != _said(canonical_value(getattr(inspection, name))):
            return f"its {name} is {getattr(inspection, name)!r} here and was {row.get(name)!r} on the node"
    return ""


def _said(value: Any) -> Any:
    """Times by their moment."""
    if isinstance(value, str) and len(value) > 18 and value[4:5] == "-":
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            return value
    return value


def report_document(report: NodeReport) -> dict[str, Any]:
    return {
        "node": report.node,
        "records": report.records,
        "pending": report.pending,
        "anchors": report.anchors,
        "sequence": report.sequence,
        "head": report.head,
        "faults": report.faults,
    }
