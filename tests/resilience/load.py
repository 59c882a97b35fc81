"""Many clients at once, each with one image after another, and the memory of the processes meanwhile."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from tests.resilience.system import System
from tests.resilience.traffic import Traffic, percentile

_SAMPLE_SECONDS = 2.0


@dataclass
class Measured:
    """Seconds of requests that were answered with a record; bytes resident, by time since the beginning."""

    clients: int
    seconds: float
    records: int = 0
    refused: dict[str, int] = field(default_factory=dict)  # what was answered besides records
    dishonest: dict[str, int] = field(default_factory=dict)  # of these: neither 429 nor 503, or without Retry-After
    p50: float = 0.0
    p99: float = 0.0
    memory: list[tuple[float, dict[str, int]]] = field(default_factory=list)

    def growth(self, name: str) -> float:
        """MB a minute of web server or workers, by least squares over the second half of the samples."""
        samples = [(at, sizes[name]) for at, sizes in self.memory[len(self.memory) // 2 :]]
        mean_at, mean_size = (sum(values) / len(samples) for values in zip(*samples, strict=True))
        spread = sum((at - mean_at) ** 2 for at, _ in samples)
        slope = sum((at - mean_at) * (size - mean_size) for at, size in samples) / spread if spread else 0.0
        return slope * 60 / 2**20


def measure(system: System, traffic: Traffic, *, seconds: float) -> Measured:
    """What the clients of `traffic` are answered for so long; who was refused asks again after Retry-After."""
    measured, began = Measured(traffic.clients, seconds), time.monotonic()
    with traffic:
        while (now := time.monotonic() - began) < seconds:
            measured.memory.append((now, system.memory()))
            time.sleep(_SAMPLE_SECONDS)
    times = traffic.seconds()
    measured.records, measured.p50, measured.p99 = len(times), percentile(times, 0.5), percentile(times, 0.99)
    cuts = {what: count for what, count in traffic.seen.items() if not what[:1].isdigit()}
    measured.refused, measured.dishonest = dict(traffic.seen), dict(traffic.dishonest) | cuts
    return measured
