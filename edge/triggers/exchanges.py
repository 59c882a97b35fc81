"""What the sender and the source of one connection share: one object each, for as long as the process runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Exchange = TypeVar("Exchange")


class Exchanges(Generic[Exchange]):
    """By the id of the connection, made when it is asked for first; it outlives the connection's threads."""

    def __init__(self, make: Callable[[], Exchange]) -> None:
        self._make = make
        self._exchanges: dict[int, Exchange] = {}
        self._lock = threading.Lock()

    def of(self, connection_id: int) -> Exchange:
        with self._lock:
            if connection_id not in self._exchanges:
                self._exchanges[connection_id] = self._make()
            return self._exchanges[connection_id]
