"""Frame to verdict on the wire: parts come at a steady rate, whatever became of those before them."""

from __future__ import annotations

import importlib.util
import os
import platform
import statistics
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from common.errors import UserError
from edge.benchmarks.frames import unique_copy
from edge.benchmarks.system import System
from edge.benchmarks.wires import WIRES, Arrival, Arrivals, Submit

_WARM_UP = 5  # parts, before anything is measured
_WAIT_SECONDS = 120.0  # for the last verdicts of a rate
_NEEDED = {"webhook": (), "mqtt": ("paho", "amqtt")}


def require_installed(wire: str) -> None:
    """Raises `UserError`."""
    if missing := [name for name in _NEEDED[wire] if importlib.util.find_spec(name) is None]:
        raise UserError(
            f"--wire {wire} needs {' and '.join(missing)}, which is not installed here. Nothing was measured. Install "
            "it with: pip install -r requirements-edge.txt -r requirements-dev.txt. --wire webhook needs neither."
        )


def measure(
    system: System, *, rates: Sequence[float], seconds: float, wire: str, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Figures of each rate; times in milliseconds."""
    document: dict[str, Any] = {
        "wire": wire,
        "seconds": seconds,
        "model": system.model,
        "hardware": _hardware(),
        "load_before": _load(),
        "rates": [],
    }
    with WIRES[wire](system) as (submit, arrivals):
        _run(system, submit, arrivals, "W", rate=2.0, count=_WARM_UP)
        for number, rate in enumerate(rates, 1):
            tell(f"{rate:g} parts per second for {seconds:g} s ...")
            count = max(1, round(rate * seconds))
            sent = _run(system, submit, arrivals, f"R{number}", rate=rate, count=count)
            document["rates"].append({"rate": rate, **_figures(sent, arrivals.taken(), arrivals.refused)})
    return document | {"load_after": _load()}


def _run(
    system: System, submit: Submit, arrivals: Arrivals, name: str, *, rate: float, count: int
) -> dict[str, tuple[float, float]]:
    """Hand over frames at a steady rate, then wait for their verdicts: of each part when it was handed over."""
    frames = [unique_copy(system.images[place % len(system.images)]) for place in range(count)]
    sent: dict[str, tuple[float, float]] = {}
    began = time.perf_counter()
    for place, data in enumerate(frames):
        due = began + place / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        serial = f"{name}-{place:06}"
        sent[serial] = time.perf_counter(), time.time()
        submit(serial, data)
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        if set(sent) <= {_part(row) for row in arrivals.taken()} | arrivals.refused:
            break
        time.sleep(0.05)
    return sent


# ---------------------------------------------------------------- figures
def _figures(
    sent: dict[str, tuple[float, float]], arrived: Sequence[Arrival], refused: Collection[str] = ()
) -> dict[str, Any]:
    """`refused`: parts that the system did not take; what has neither come nor was refused is lost."""
    ours = [row for row in arrived if _part(row) in sent]
    first: dict[str, Arrival] = {}
    for row in ours:
        first.setdefault(_part(row), row)
    times = sorted((row.at - sent[part][0]) * 1000 for part, row in first.items())
    order = [row.document["sequence"] for row in first.values()]
    return {
        "sent": len(sent),
        "received": len(first),
        "refused": len((set(sent) & set(refused)) - set(first)),
        "lost": len(set(sent) - set(first) - set(refused)),
        "duplicates": len(ours) - len(first),
        "out_of_order": sum(after < before for before, after in pairwise(order)),
        "verdicts": dict(Counter(str(row.document["verdict"]) for row in first.values())),
        "p50_ms": _quantile(times, 0.5),
        "p99_ms": _quantile(times, 0.99),
        "max_ms": _quantile(times, 1.0),
        "stages_p50_ms": _stages(sent, first),
    }


def _stages(sent: dict[str, tuple[float, float]], first: dict[str, Arrival]) -> dict[str, float | None]:
    """Medians, by the one clock of this machine: what the message says of itself."""
    spans: dict[str, list[float]] = {"to_request": [], "to_record": [], "to_sender": [], "to_receiver": []}
    for part, row in first.items():
        said = [row.document[name] for name in ("requested_at", "recorded_at", "sent_at")]
        if None in said:
            continue
        moments = [sent[part][1], *(datetime.fromisoformat(text).timestamp() for text in said), row.clock]
        for name, before, after in zip(spans, moments, moments[1:], strict=False):
            spans[name].append((after - before) * 1000)
    return {name: round(statistics.median(values), 1) if values else None for name, values in spans.items()}


def _part(row: Arrival) -> str:
    return str(row.document["serial_number"])


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that at least this share of all is not above."""
    if not ordered:
        return None
    return round(ordered[max(0, -int(-len(ordered) * share // 1) - 1)], 1)


# ---------------------------------------------------------------- the machine
def _hardware() -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name, flags = platform.processor() or platform.machine(), ""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        word, _, value = line.partition(":")
        name = value.strip() if word.strip() == "model name" else name
        flags = value if word.strip() == "flags" else flags
    return {"cores": cores, "processor": name, "avx512": "avx512f" in flags.split() if flags else None}


def _load() -> list[float] | None:
    """Programs that wanted a core on average, of the last minute, 5 and 15; above the cores, figures are too high."""
    return [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None


def as_text(document: dict[str, Any]) -> str:
    """The figures as lines for a terminal."""
    hardware, model = document["hardware"], document["model"]
    lines = [
        f"{model.get('algorithm', '?')} on {model.get('backbone', '?')}, wire {document['wire']}, "
        f"{hardware['cores']} cores of {hardware['processor']}, load {document['load_before']}"
    ]
    for row in document["rates"]:
        stages = ", ".join(f"{name} {value}" for name, value in row["stages_p50_ms"].items())
        lines.append(
            f"{row['rate']:g}/s: {row['received']} of {row['sent']} verdicts, {row['refused']} refused, {row['lost']} "
            f"lost, {row['duplicates']} doubled, {row['out_of_order']} out of order; p50 {row['p50_ms']} ms, p99 "
            f"{row['p99_ms']} ms, max {row['max_ms']} ms ({stages})"
        )
    return "\n".join(lines)
