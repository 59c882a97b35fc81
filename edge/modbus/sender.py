"""Shows each verdict to the PLC, in order."""

from __future__ import annotations

from edge.connections.kinds import Figures, Message, Sender, Target
from edge.modbus.exchange import exchange_of
from edge.modbus.link import Link


class ModbusSender(Sender):
    """Owns the connection to the PLC; the source of the same connection is told of triggers by it."""

    def __init__(self, target: Target, figures: Figures) -> None:
        self._exchange = exchange_of(target.connection_id)
        self._link = Link(target, figures, self._exchange)

    def open(self) -> None:
        self._link.open()

    def send(self, message: Message) -> None:
        self._link.present(self._exchange.result_of(message))
        self._exchange.note_delivery(message)

    def tick(self) -> None:
        self._link.require_alive()

    def close(self) -> None:
        self._link.close()
