"""Connections to the line, and what goes over them."""

from __future__ import annotations

from edge.cameras.models import FrameDetails
from edge.centre.models import CentreReceipt
from edge.connections.models import Connection, ConnectionSecret, ConnectionStatus
from edge.deliveries.models import Delivery, ExpectedVerdict, HeldFile, Lane
from edge.nodes.models import EdgeNode, ForwardedRecord, NodeAnchor
from edge.passages.models import HeardPeriod, Passage, PassageCounter

__all__ = [
    "CentreReceipt",
    "Connection",
    "ConnectionSecret",
    "ConnectionStatus",
    "Delivery",
    "EdgeNode",
    "ExpectedVerdict",
    "ForwardedRecord",
    "FrameDetails",
    "HeardPeriod",
    "HeldFile",
    "Lane",
    "NodeAnchor",
    "Passage",
    "PassageCounter",
]
