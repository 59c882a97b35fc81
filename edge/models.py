"""Connections to the line, and what goes over them."""

from __future__ import annotations

from edge.connections.models import Connection, ConnectionSecret, ConnectionStatus
from edge.deliveries.models import Delivery, ExpectedVerdict, Lane
from edge.passages.models import HeardPeriod, Passage, PassageCounter

__all__ = [
    "Connection",
    "ConnectionSecret",
    "ConnectionStatus",
    "Delivery",
    "ExpectedVerdict",
    "HeardPeriod",
    "Lane",
    "Passage",
    "PassageCounter",
]
