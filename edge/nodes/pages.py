"""What the template of edge nodes is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from edge.nodes.models import EdgeNode, NodeAnchor
from edge.nodes.selectors import last_anchor, nodes, records, state_of

_STATES: Mapping[str, tuple[Promise, str]] = {
    # its word, and how it looks
    "online": (_("online"), "good"),
    "silent": (_("not heard"), "bad"),
    "never": (_("never heard"), "waiting"),
    "disabled": (_("disabled"), "off"),
}


@dataclass(frozen=True)
class NodeRow:
    """A node in the list."""

    node: EdgeNode
    state: Promise
    look: str
    records: int
    anchor: NodeAnchor | None


def node_rows() -> list[NodeRow]:
    return [NodeRow(node, *_STATES[state_of(node)], records(node).count(), last_anchor(node)) for node in nodes()]
