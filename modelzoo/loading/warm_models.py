"""Models that a worker holds in memory, within a budget: the least recently used makes room for the next.

The one that was asked for last always stays, whatever its size: it is in use. Sizes are counted
(`modelzoo.detectors.engines.memory`).
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from django.conf import settings

from jobs import broker

log = logging.getLogger(__name__)
M = TypeVar("M")
Key = tuple[str, str, str, str]

_MIB = 1024**2
# Where no budget is set. The rest of the memory is for images in work, for the libraries and for other processes.
_SHARE_OF_MEMORY = 0.25
_REPORT_SECONDS = 30.0


def budget_bytes() -> int:
    """What models may take together: WARM_MODELS_MIB, or a quarter of the memory that this process may have."""
    if settings.WARM_MODELS_MIB:
        return int(settings.WARM_MODELS_MIB) * _MIB
    return int(_memory_limit() * _SHARE_OF_MEMORY)


def _memory_limit() -> int:
    """Of the container, where there is one, else of the machine."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            return min(machine, int(Path(path).read_text()))
        except (OSError, ValueError):  # no such control group, or no limit ("max")
            continue
    return machine


@dataclass
class _Warm(Generic[M]):
    model: M
    size_bytes: int
    description: dict[str, Any]
    used_at: float = field(default_factory=time.time)


class WarmModels(Generic[M]):
    """Not thread-safe: whoever loads models holds a lock meanwhile."""

    def __init__(self) -> None:
        self._models: OrderedDict[Key, _Warm[M]] = OrderedDict()
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._models)

    def get(self, key: Key) -> M | None:
        warm = self._models.get(key)
        if warm is None:
            return None
        self._models.move_to_end(key)
        warm.used_at = time.time()
        return warm.model

    def put(self, key: Key, model: M, *, size_bytes: int, description: dict[str, Any]) -> None:
        """Hold a model from here on. What was not used for longest goes until all fit into the budget."""
        self._models[key] = _Warm(model, size_bytes, description)
        budget = budget_bytes()
        while self.size_bytes > budget and len(self._models) > 1:
            _, gone = self._models.popitem(last=False)
            self.evictions += 1
            log.info("The model %s made room in memory (%d MiB).", gone.description, gone.size_bytes // _MIB)

    @property
    def size_bytes(self) -> int:
        return sum(warm.size_bytes for warm in self._models.values())

    def clear(self) -> None:
        self._models.clear()

    def document(self) -> dict[str, Any]:
        """What is held, the most recently used first."""
        models = [
            {**warm.description, "size_bytes": warm.size_bytes, "used_at": warm.used_at}
            for warm in reversed(self._models.values())
        ]
        return {
            "budget_bytes": budget_bytes(),
            "size_bytes": self.size_bytes,
            "evictions": self.evictions,
            "models": models,
        }


def memory_of(worker: str) -> list[dict[str, Any]]:
    """What each process of a worker holds, as it said last; nothing where it has not said yet."""
    processes: list[dict[str, Any]] = [json.loads(document) for document in broker.memory_of(worker)]
    for process in processes:
        for model in process["models"]:
            model["used_at"] = datetime.fromtimestamp(model["used_at"], UTC)
    return processes


class Reporter:
    """Tells the broker what a process of a worker holds: when that changed, and now and then, lest it was forgotten."""

    def __init__(self, models: WarmModels[Any], lock: threading.Lock) -> None:
        self._models, self._lock = models, lock
        self._reported: tuple[int, list[Any]] | None = None
        self._reported_at = 0.0

    def report(self, *, worker: str, process: int) -> None:
        """Called after each task. Waits for nobody who is loading a model: that one's task is reported, too."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            document = self._models.document()
        finally:
            self._lock.release()
        now = time.monotonic()
        state = (document["evictions"], sorted(json.dumps(one | {"used_at": 0}) for one in document["models"]))
        if state == self._reported and now < self._reported_at + _REPORT_SECONDS:
            return
        self._reported, self._reported_at = state, now
        broker.note_memory(worker, process, json.dumps(document))
