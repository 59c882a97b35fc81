"""The harness at the command line: what it does, what it prints."""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.resilience import bombs as large_pictures
from tests.resilience import fuzz as fuzzing
from tests.resilience.faults import FAULTS, Fault, Outcome, run_fault
from tests.resilience.invariants import check
from tests.resilience.system import System, running_system
from tests.resilience.traffic import Traffic, percentile

_SMALL_DISK = "size=700m"


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def show(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


# ---------------------------------------------------------------- faults
@contextmanager
def system_for(group: list[Fault], *, on_servers: bool) -> Iterator[System]:
    """A system for faults that need the same environment; on a small disk of its own where one is filled."""
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="mvtec-f-")))
        environment = group[0].environment(folder)
        system = cleanup.enter_context(
            running_system(on_servers=on_servers, disk=_SMALL_DISK if _fills_disk(group) else "", **environment)
        )
        yield system


def _fills_disk(group: list[Fault]) -> bool:
    return any(fault.name.startswith("disk") for fault in group)


def try_faults(
    faults: list[Fault], *, on_servers: bool, seed: int, times: int = 0, scale: float = 1.0
) -> list[Outcome]:
    """Tries each, those with the same environment on one system, then looks at what is left of all of it."""
    outcomes: list[Outcome] = []
    groups: dict[Any, list[Fault]] = {}
    where = "servers" if on_servers else "embedded"
    for fault in faults:
        if not (fault.on_servers if on_servers else fault.embedded):
            continue
        if reason := fault.cannot():
            outcomes.append(Outcome(fault.name, where, skipped=reason))
        else:
            groups.setdefault((fault.environment, _fills_disk([fault])), []).append(fault)
    for group in groups.values():
        with system_for(group, on_servers=on_servers) as system:
            traffics, begun = [], []
            for fault in group:
                say(f"{where}: {fault.name}")
                traffic = Traffic(system, fault.name[:50])
                begun.append(run_fault(fault, system, traffic, seed=seed, times=times or fault.times, scale=scale))
                traffics.append(traffic)
            findings = check(system, traffics)
            for outcome, traffic in zip(begun, traffics, strict=True):
                outcome.lost, outcome.doubled = findings.lost[traffic.lot], findings.doubled[traffic.lot]
            begun[-1].problems += findings.problems
            outcomes += begun
    return outcomes


def table(outcomes: list[Outcome]) -> str:
    rows = ["| fault | on | injected | requests | lost | doubled | back after (s) | answered besides records |"]
    rows.append("|---|---|---|---|---|---|---|---|")
    for one in outcomes:
        recovery = "never" if one.recovery is None else f"{one.recovery:.1f}"
        seen = ", ".join(f"{count} x {what}" for what, count in one.seen.most_common(4)) or "nothing"
        cells = [one.fault, one.on, one.injected, one.requests, one.lost, one.doubled, recovery, seen]
        if one.skipped:
            cells = [one.fault, one.on, 0, "", "", "", "", f"left out: {one.skipped}"]
        rows.append("| " + " | ".join(map(str, cells)) + " |")
        rows += [f"  problem: {problem}" for problem in one.problems]
    return "\n".join(rows)


def faults(options: argparse.Namespace) -> int:
    chosen = [fault for fault in FAULTS if re.search(options.only, fault.name)]
    outcomes = []
    for on_servers in (False, True) if options.database == "postgresql" else (False,):
        outcomes += try_faults(
            chosen, on_servers=on_servers, seed=options.seed, times=options.times, scale=options.scale
        )
    show(json.dumps([vars(one) for one in outcomes], indent=1) if options.json else table(outcomes))
    sound = all(
        one.skipped or (not one.lost and not one.doubled and not one.problems and (one.recovery or 0) <= 30)
        for one in outcomes
    )
    return 0 if sound else 1


# ---------------------------------------------------------------- load
def load(options: argparse.Namespace) -> int:
    """So many clients at once, each one image after the other, whatever they are answered."""
    on_servers = options.database == "postgresql"
    with running_system(
        on_servers=on_servers, ANSWER_TIMEOUT="30", WEB_CONNECTIONS_PER_ADDRESS=str(2 * options.clients)
    ) as system:
        before = system.memory()
        samples: list[tuple[float, dict[str, int]]] = []
        with Traffic(system, "load", clients=options.clients, patient=False) as traffic:
            until = time.monotonic() + options.seconds
            while time.monotonic() < until:
                samples.append((time.monotonic(), system.memory()))
                time.sleep(1)
        system.wait_until_whole()
        findings = check(system, [traffic])
        seconds = traffic.seconds()
        document = {
            "on": "servers, two workers" if on_servers else "embedded",
            "clients": options.clients,
            "seconds": options.seconds,
            "judged": len(traffic.answers),
            "p50_s": round(percentile(seconds, 0.5), 3),
            "p99_s": round(percentile(seconds, 0.99), 3),
            "other_answers": dict(traffic.seen),
            "not_honest": dict(traffic.dishonest),
            "lost": findings.lost["load"],
            "doubled": findings.doubled["load"],
            "problems": findings.problems,
            "memory_mb_before": _megabytes(before),
            "memory_mb_a_third_in": _megabytes(samples[len(samples) // 3][1]),
            "memory_mb_at_the_end": _megabytes(samples[-1][1]),
            "memory_mb_afterwards": _megabytes(system.memory()),
        }
    show(json.dumps(document, indent=1))
    return 1 if traffic.dishonest or findings.problems or document["lost"] or document["doubled"] else 0


def soak(options: argparse.Namespace) -> int:
    """Four clients for as long as is asked for; the slope of the memory over the second half."""
    with running_system(on_servers=options.database == "postgresql") as system:
        samples: list[tuple[float, dict[str, int]]] = []
        with Traffic(system, "soak") as traffic:
            began = time.monotonic()
            while (now := time.monotonic()) < began + options.seconds:
                samples.append(((now - began) / 60, system.memory()))
                time.sleep(1)
        findings = check(system, [traffic])
    later = samples[len(samples) // 2 :]
    document = {
        "seconds": options.seconds,
        "judged": len(traffic.answers),
        "other_answers": dict(traffic.seen),
        "lost": findings.lost["soak"],
        "doubled": findings.doubled["soak"],
        "problems": findings.problems,
        "memory_mb": {"first": _megabytes(samples[0][1]), "last": _megabytes(samples[-1][1])},
        "slope_mb_a_minute": {
            name: round(slope([(minute, sizes[name] / 2**20) for minute, sizes in later]), 2)
            for name in ("web", "worker")
        },
    }
    show(json.dumps(document, indent=1))
    return 1 if findings.problems or document["lost"] or document["doubled"] else 0


def slope(points: list[tuple[float, float]]) -> float:
    """Of the straight line with the least squares of distances; 0 for fewer than two points."""
    n = len(points)
    mean_x, mean_y = (sum(point[axis] for point in points) / max(1, n) for axis in (0, 1))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def _megabytes(sizes: dict[str, int]) -> dict[str, int]:
    return {name: round(size / 2**20) for name, size in sizes.items()}


def bombs(options: argparse.Namespace) -> int:
    documents = []
    with running_system(on_servers=options.database == "postgresql", ANSWER_TIMEOUT="30") as system:
        system.stack.manage("create_user", "bob", "--role", "operator", "--password-stdin", typed="a-long-password")
        token = system.stack.manage("create_token", "bob", "suite").stdout.strip()
        for name, data in large_pictures.pictures().items():
            measured = large_pictures.measure(system, data, token=token, seconds=min(options.seconds, 20.0))
            document: dict[str, Any] = {"picture": name, "bytes": len(data)} | vars(measured)
            document |= {f"{when}_mb": _megabytes(document.pop(when)) for when in ("before", "peak", "after")}
            documents.append(document)
            say(json.dumps(document))
    show(json.dumps(documents, indent=1))
    return 0


# ---------------------------------------------------------------- fuzz
def fuzz(options: argparse.Namespace) -> int:
    reports = [
        fuzzing.run(kind, count, first=options.first, seed=options.seed)
        for kind, count in (
            ("images", options.images),
            ("archives", options.archives),
            ("artifacts", options.artifacts),
        )
        if count
    ]
    show(json.dumps([vars(report) for report in reports], indent=1))
    return 0 if all(report.is_sound for report in reports) else 1
