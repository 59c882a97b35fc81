"""Reads: edge nodes, what is here of them, and how they are."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from common.errors import NotFound
from edge.nodes.chain import State
from edge.nodes.models import EdgeNode, ForwardedRecord, NodeAnchor
from records.models import AuditEvent

SILENT_AFTER = timedelta(minutes=2)  # a node that is online says something each half minute


def nodes() -> QuerySet[EdgeNode]:
    return EdgeNode.objects.select_related("user", "created_by").order_by("name")


def find_node(node_id: int) -> EdgeNode:
    """Raises `NotFound`."""
    return _found(nodes().filter(pk=node_id).first(), str(node_id))


def find_node_by_name(name: str) -> EdgeNode:
    """Raises `NotFound`."""
    return _found(nodes().filter(name=name).first(), name)


def _found(node: EdgeNode | None, what: str) -> EdgeNode:
    if node is None:
        raise NotFound(f"There is no edge node {what}.", code="edge_node_not_found")
    return node


def node_of(user_id: int | None) -> EdgeNode | None:
    """The node whose account this is."""
    return nodes().filter(user=user_id).first() if user_id is not None else None


def last_anchor(node: EdgeNode) -> NodeAnchor | None:
    return NodeAnchor.objects.filter(node=node).order_by("-sequence").first()


def chain_state(node: EdgeNode) -> State:
    """Where a node's audit chain stood when it was anchored last; at its beginning where it never was."""
    anchor = last_anchor(node)
    return State(anchor.sequence, anchor.head) if anchor else State()


def anchors(node: EdgeNode) -> QuerySet[NodeAnchor]:
    return NodeAnchor.objects.filter(node=node).order_by("sequence")


def records(node: EdgeNode) -> QuerySet[ForwardedRecord]:
    return ForwardedRecord.objects.filter(node=node).order_by("sequence")


def anchored_hash(node: EdgeNode, sequence: int) -> str:
    """The hash of an event of a node's audit chain; empty where it is not anchored yet."""
    anchor = NodeAnchor.objects.filter(node=node, sequence__gte=sequence).order_by("sequence").first()
    return anchor.hashes.split("\n")[sequence - anchor.first] if anchor else ""


def anchoring_event(anchor: NodeAnchor) -> int:
    """The event of our own chain that says where the node's chain stood."""
    return AuditEvent.objects.values_list("sequence", flat=True).get(
        kind="edge_node.anchored", object_type=NodeAnchor._meta.label_lower, object_id=str(anchor.pk)
    )


def state_of(node: EdgeNode, *, now: datetime | None = None) -> str:
    """disabled, never, online or silent."""
    if not node.is_enabled:
        return "disabled"
    if node.last_contact_at is None:
        return "never"
    return "online" if (now or timezone.now()) - node.last_contact_at <= SILENT_AFTER else "silent"
