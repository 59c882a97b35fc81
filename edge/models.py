"""Connections to the line, and what goes over them."""

from __future__ import annotations

from edge.cameras.models import FrameDetails
from edge.connections.models import Connection, ConnectionSecret, ConnectionStatus
from edge.deliveries.models import Delivery, ExpectedVerdict, Lane

__all__ = ["Connection", "ConnectionSecret", "ConnectionStatus", "Delivery", "ExpectedVerdict", "FrameDetails", "Lane"]
