"""What the sender and the source of one PLC share: they use one connection, because many a PLC takes no second one.

It outlives the connection, so that a part is judged on while the PLC is away, and nothing is said twice.
"""

from __future__ import annotations

import queue
import re
import uuid
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from edge.connections.kinds import Message
from edge.modbus.handshake import Accepted, Result, State
from edge.triggers.exchanges import Exchanges

_MAX_DELIVERIES = 10_000
_FILENAME = re.compile(r"trigger-(\d{1,5})-([0-9a-f]{8})-(\d{1,9})-")
_FOREIGN = -1  # the ticket of a trigger that a process before this one accepted


@dataclass
class Exchange:
    state: State = field(default_factory=State)
    accepted: queue.Queue[Accepted] = field(default_factory=queue.Queue)
    failed: deque[int] = field(default_factory=deque)  # tickets of parts of which no verdict will come
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    first_deliveries: OrderedDict[str, str] = field(default_factory=OrderedDict)  # by request

    def filename(self, accepted: Accepted, picture: str) -> str:
        """What the image of a trigger is called: people and `result_of` see which one it was."""
        return f"trigger-{accepted.control.number}-{self.run}-{accepted.ticket}-{picture}"

    def result_of(self, message: Message) -> Result:
        ticket = trigger = 0
        if found := _FILENAME.match(str(message.document["filename"])):
            trigger = int(found[1])
            ticket = int(found[3]) if found[2] == self.run else _FOREIGN
        first = self.first_deliveries.get(str(message.document["request_id"]), message.delivery_id)
        return Result(
            verdict=message.verdict,
            sequence=message.sequence,
            ticket=ticket,
            trigger=trigger,
            is_duplicate=message.is_duplicate,
            is_late=message.is_late,
            is_supplement=first != message.delivery_id,
        )

    def note_delivery(self, message: Message) -> None:
        self.first_deliveries.setdefault(str(message.document["request_id"]), message.delivery_id)
        while len(self.first_deliveries) > _MAX_DELIVERIES:
            self.first_deliveries.popitem(last=False)


exchange_of = Exchanges(Exchange).of
