"""What this process counted is added to the figures of all, in the broker; and it says how it does."""

from __future__ import annotations

import atexit
import json
import logging
import os
import platform
import resource
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
from django.conf import settings

from common.version import code_version
from jobs import broker
from jobs.metrics import definitions
from jobs.metrics.definitions import REGISTRY

log = logging.getLogger(__name__)
COUNTS = "metrics:counts"  # a hash: JSON of [sample, [label, value], ...] -> sum over all processes there ever were
PROCESSES = "metrics:processes"  # a hash: host:role:pid -> JSON of `_figures`
SUCCESSES = "metrics:successes"  # a hash: scheduled task -> when it last ended well
PUBLISH_SECONDS = 5.0

# Further figures of this process, by whoever has them: name -> value.
_sources: list[Callable[[], dict[str, Any]]] = []


def add_source(figures: Callable[[], dict[str, Any]]) -> None:
    """Have every publication say what `figures` returns, too; see `jobs.metrics.reading.ProcessFigures`."""
    if figures not in _sources:
        _sources.append(figures)


class Publisher:
    """Sends what was counted since the last time. While no broker answers, it is kept, and sent when one does."""

    def __init__(self) -> None:
        self._sent: dict[str, float] = {}
        self._lock = threading.Lock()
        self._role = ""
        self._cpu_seconds = 0.0

    def start(self, role: str) -> None:
        """Publish from this process, in a thread, until it ends."""
        self._role, self._cpu_seconds = role, 0.0
        definitions.STARTS.labels(role).inc()
        threading.Thread(target=self._keep, name="metrics", daemon=True).start()
        atexit.register(self.flush)

    def _keep(self) -> None:
        while True:
            self.flush()
            time.sleep(PUBLISH_SECONDS)

    def flush(self) -> None:
        """Never fails: what cannot be sent now is sent with the next."""
        try:
            with self._lock:
                self._flush()
        except redis.RedisError as error:
            log.debug("Metrics are sent later: %s", error)
        except Exception:  # the thread goes on, whatever a source of figures did
            log.exception("Metrics could not be published, and are with the next.")

    def _flush(self) -> None:
        if self._role:
            cpu_seconds = time.process_time()
            definitions.CPU_SECONDS.labels(self._role).inc(max(0.0, cpu_seconds - self._cpu_seconds))
            self._cpu_seconds = cpu_seconds
        counts = _counts()
        pipeline = broker.quick_client().pipeline()  # in one transaction: all of it or nothing
        for field, value in counts.items():
            if increase := value - self._sent.get(field, 0.0):
                pipeline.hincrbyfloat(COUNTS, field, increase)
        if self._role:
            pipeline.hset(PROCESSES, f"{platform.node()}:{self._role}:{os.getpid()}", json.dumps(self._figures()))
        pipeline.execute()
        self._sent = counts

    def _figures(self) -> dict[str, Any]:
        disk = shutil.disk_usage(settings.VAR_DIR)
        figures: dict[str, Any] = {
            "at": time.time(),
            "host": platform.node(),
            "role": self._role,
            "code": code_version(),
            "resident_bytes": resident_bytes(),
            "storage_free_bytes": disk.free,
            "storage_size_bytes": disk.total,
            "gpus": _gpus(),
        }
        for source in _sources:
            figures |= source()
        return figures

    def forget_inherited(self) -> None:
        """In a process that was forked: what its parent counted is the parent's to send."""
        self._lock, self._role, self._sent = threading.Lock(), "", _counts()


publisher = Publisher()
start, flush = publisher.start, publisher.flush
os.register_at_fork(after_in_child=publisher.forget_inherited)


def note_success(task: str) -> None:
    """A scheduled task ended well."""
    try:
        broker.quick_client().hset(SUCCESSES, task, str(time.time()))
    except redis.RedisError as error:
        log.debug("That %s ended well is not written down: %s", task, error)


def _counts() -> dict[str, float]:
    return {
        json.dumps([sample.name, *sorted(sample.labels.items())]): sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if not sample.name.endswith("_created") and sample.value
    }


def resident_bytes() -> int:
    """Memory that this process takes now; elsewhere than on Linux, the most that it ever took."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return pages * os.sysconf("SC_PAGE_SIZE")


def _gpus() -> list[dict[str, int]]:
    """Memory of the GPUs that this process uses; nothing where it uses none (torch is not loaded for it)."""
    cuda: Any = getattr(sys.modules.get("torch"), "cuda", None)
    # While another thread imports it, some of it is not there yet.
    if not getattr(cuda, "is_initialized", bool)():
        return []
    rows = []
    for index in range(cuda.device_count()):
        free, total = cuda.mem_get_info(index)
        rows.append({"gpu": index, "used_bytes": total - free, "size_bytes": total})
    return rows
