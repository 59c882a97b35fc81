"""The figures of all processes, as the broker holds them."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric

from jobs import broker
from jobs.metrics import publishing
from jobs.metrics.definitions import BUCKETS, GAUGES, REGISTRY

_FRESH_SECONDS = 30.0  # a process that gave no figures for so long is gone
_FORGET_SECONDS = 600.0


@dataclass(frozen=True)
class Shared:
    """What the broker holds: sums of all processes, figures of those that live, when scheduled tasks ended well."""

    counts: dict[str, float]
    processes: list[dict[str, Any]]
    successes: dict[str, float]


def read() -> Shared:
    """One round trip. Raises `redis.RedisError`."""
    pipeline = broker.client().pipeline(transaction=False)
    for name in (publishing.COUNTS, publishing.PROCESSES, publishing.SUCCESSES):
        pipeline.hgetall(name)
    counts, processes, successes = pipeline.execute()
    rows = {field: json.loads(text) for field, text in processes.items()}
    now = time.time()
    if gone := [field for field, row in rows.items() if now - row["at"] > _FORGET_SECONDS]:
        broker.client().hdel(publishing.PROCESSES, *gone)
    return Shared(
        {field.decode(): float(value) for field, value in counts.items()},
        [row for row in rows.values() if now - row["at"] <= _FRESH_SECONDS],
        {field.decode(): float(value) for field, value in successes.items()},
    )


def counted(shared: Shared) -> Iterator[Metric]:
    """Counters and histograms, summed over all processes."""
    sums: dict[str, dict[tuple[tuple[str, str], ...], float]] = defaultdict(dict)
    for field, value in shared.counts.items():
        name, *labels = json.loads(field)
        sums[name][tuple((key, text) for key, text in labels)] = value
    for own in REGISTRY.collect():
        family = Metric(own.name, own.documentation, own.type)
        is_histogram = own.type == "histogram"
        names = (
            (f"{own.name}_bucket", f"{own.name}_count", f"{own.name}_sum") if is_histogram else (f"{own.name}_total",)
        )
        for name in names:
            samples = {_key(sample.labels): 0.0 for sample in own.samples if sample.name == name}
            if name.endswith("_bucket"):
                # A bucket that nothing fell into was never sent.
                bounds = [*(str(float(bound)) for bound in BUCKETS[own.name]), "+Inf"]
                for key in sums[f"{own.name}_count"]:
                    samples |= {_key(dict(key) | {"le": bound}): 0.0 for bound in bounds}
            for key, value in sorted((samples | sums[name]).items(), key=_order):
                family.add_sample(name, dict(key), value)
        yield family


def _key(labels: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


def _order(item: tuple[tuple[tuple[str, str], ...], float]) -> tuple[Any, ...]:
    labels = dict(item[0])
    bound = labels.pop("le", "0")
    return (sorted(labels.items()), float(bound))


def of_processes(shared: Shared) -> Iterator[GaugeMetricFamily]:
    """Gauges of the processes that live, by machine and role."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in shared.processes:
        groups[row["host"], row["role"]].append(row)
    families = {name: gauge(name) for name in _OF_PROCESSES + _OF_MACHINES}
    for key, rows in sorted(groups.items()):
        families["mvtec_processes"].add_metric(key, len(rows))
        families["mvtec_process_resident_bytes"].add_metric(key, sum(row["resident_bytes"] for row in rows))
        if holders := [row for row in rows if "models_warm" in row]:
            families["mvtec_models_warm"].add_metric(key, sum(row["models_warm"] for row in holders))
            families["mvtec_models_warm_bytes"].add_metric(key, sum(row["models_warm_bytes"] for row in holders))
            families["mvtec_models_budget_bytes"].add_metric(key, sum(row["models_budget_bytes"] for row in holders))
    newest = {row["host"]: row for row in sorted(shared.processes, key=lambda row: row["at"])}
    for host, row in sorted(newest.items()):
        families["mvtec_storage_free_bytes"].add_metric((host,), row["storage_free_bytes"])
        families["mvtec_storage_size_bytes"].add_metric((host,), row["storage_size_bytes"])
    gpus = {(row["host"], str(one["gpu"])): one for row in shared.processes for one in row["gpus"]}
    for gpu, one in sorted(gpus.items()):
        families["mvtec_gpu_memory_used_bytes"].add_metric(gpu, one["used_bytes"])
        families["mvtec_gpu_memory_size_bytes"].add_metric(gpu, one["size_bytes"])
    yield from families.values()


_OF_PROCESSES = (
    "mvtec_processes",
    "mvtec_process_resident_bytes",
    "mvtec_models_warm",
    "mvtec_models_warm_bytes",
    "mvtec_models_budget_bytes",
)
_OF_MACHINES = (
    "mvtec_storage_free_bytes",
    "mvtec_storage_size_bytes",
    "mvtec_gpu_memory_used_bytes",
    "mvtec_gpu_memory_size_bytes",
)


def gauge(name: str, value: float | None = None) -> GaugeMetricFamily:
    """The family of this name, with its one value where it has no labels."""
    definition = GAUGES[name]
    return GaugeMetricFamily(
        name, definition.help, value=value, labels=None if value is not None else list(definition.labels)
    )
