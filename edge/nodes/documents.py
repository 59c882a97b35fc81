"""The JSON shape of edge nodes, of their records and anchors."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.urls import reverse

from edge.nodes.models import EdgeNode, ForwardedRecord, NodeAnchor
from edge.nodes.selectors import last_anchor, records


def _moment(value: datetime | None) -> str | None:
    return value.isoformat() if value else None


def node_document(node: EdgeNode) -> dict[str, Any]:
    anchor = last_anchor(node)
    return {
        "node_id": node.pk,
        "url": reverse("api-edge-node", args=[node.pk]),
        "name": node.name,
        "station": node.station,
        "enabled": node.is_enabled,
        "account": node.user.get_username(),
        "created_at": node.created_at.isoformat(),
        "created_by": node.created_by.get_username() if node.created_by else None,
        "last_contact_at": _moment(node.last_contact_at),
        "waiting": node.waiting,
        "oldest_waiting_at": _moment(node.oldest_waiting_at),
        "records": records(node).count(),
        "anchored_event": anchor.sequence if anchor else 0,
        "anchored_head": anchor.head if anchor else "",
        "anchored_at": _moment(anchor.created_at if anchor else None),
        "refusal_code": node.refusal_code,
        "refusal": node.refusal,
        "refused_at": _moment(node.refused_at),
    }


def taken_document(record: ForwardedRecord, *, repeated: bool) -> dict[str, Any]:
    return {
        "record_id": str(record.record_id),
        "inspection_id": str(record.inspection_id),
        "url": reverse("api-inspection", args=[record.inspection_id]),
        "repeated": repeated,
    }


def record_document(record: ForwardedRecord) -> dict[str, Any]:
    inspection = record.inspection
    return {
        "record_id": str(record.record_id),
        "inspection_id": str(record.inspection_id),
        "sequence": record.sequence,
        "row_sha256": record.row_sha256,
        "event_sha256": record.event_sha256,
        "image_sha256": inspection.asset.sha256,
        "map_sha256": inspection.map.sha256 if inspection.map else None,
        "received_at": record.received_at.isoformat(),
    }


def anchor_document(anchor: NodeAnchor) -> dict[str, Any]:
    return {
        "first": anchor.first,
        "sequence": anchor.sequence,
        "head": anchor.head,
        "created_at": anchor.created_at.isoformat(),
    }
