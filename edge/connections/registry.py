"""The kinds of connections that there are. A new one is a line here."""

from __future__ import annotations

from common.errors import UserError
from edge.cameras.kind import CAMERA
from edge.centre.kind import CENTRE
from edge.connections.kinds import Kind
from edge.modbus.kind import MODBUS
from edge.mqtt.kind import MQTT
from edge.opcua.kind import OPCUA
from edge.webhooks.kind import WEBHOOK

KINDS: dict[str, Kind] = {kind.name: kind for kind in (WEBHOOK, MQTT, MODBUS, OPCUA, CAMERA, CENTRE)}


def find_kind(name: str) -> Kind:
    """Raises `UserError`."""
    kind = KINDS.get(name)
    if kind is None:
        raise UserError(
            f"There is no kind of connection {name}. Nothing was changed. There are: {', '.join(sorted(KINDS))}.",
            code="invalid",
            field="kind",
        )
    return kind
