"""The harness at the command line: what it does, what it prints."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from typing import Any

from tests.environment import wanted_database
from tests.resilience import bombs as large_pictures
from tests.resilience import fuzz as fuzzing
from tests.resilience import load as many_clients
from tests.resilience.faults.injection import Fault, Outcome, run_fault
from tests.resilience.faults.table import FAULTS
from tests.resilience.invariants import check
from tests.resilience.surroundings import SURROUNDINGS
from tests.resilience.system import another_worker, running_system
from tests.resilience.traffic import Traffic


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def show(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


# ---------------------------------------------------------------- faults
def try_faults(faults: list[Fault], *, seed: int, times: int = 0, scale: float = 1.0) -> list[Outcome]:
    """Tries each, with one system for all that need the same surroundings, in the order in which these first come."""
    outcomes = [Outcome(fault.name, skipped=why) for fault in faults if (why := fault.impossible())]
    possible = [fault for fault in faults if fault.name not in {one.fault for one in outcomes}]
    for needs in dict.fromkeys(fault.needs for fault in possible):
        alike = [fault for fault in possible if fault.needs == needs]
        if needs == "PostgreSQL" and wanted_database() != "postgresql":
            outcomes += _in_a_process_with_postgresql(alike, seed=seed, times=times, scale=scale)
        else:
            outcomes += _on_one_system(alike, seed=seed, times=times, scale=scale)
    names = [fault.name for fault in faults]
    return sorted(outcomes, key=lambda outcome: names.index(outcome.fault))


def _on_one_system(faults: list[Fault], *, seed: int, times: int, scale: float) -> list[Outcome]:
    """One after the other, then looks at what is left of all of it."""
    say(f"A system with {faults[0].needs}")
    with SURROUNDINGS[faults[0].needs]() as system:
        traffics, outcomes = [], []
        for fault in faults:
            say(f"  {fault.name}")
            traffic = Traffic(system, fault.lot)
            outcomes.append(run_fault(fault, system, traffic, seed=seed, times=times or fault.times, scale=scale))
            traffics.append(traffic)
        findings = check(system, traffics)
    for outcome, traffic in zip(outcomes, traffics, strict=True):
        outcome.lost, outcome.doubled = findings.lost[traffic.lot], findings.doubled[traffic.lot]
    outcomes[-1].problems += findings.problems
    say(table(outcomes))  # already now: the whole takes long
    return outcomes


def _in_a_process_with_postgresql(faults: list[Fault], *, seed: int, times: int, scale: float) -> list[Outcome]:
    """`tests.environment` starts the server of a process before anything else is loaded."""
    only = "|".join(f"^{re.escape(fault.name)}$" for fault in faults)
    words = ["faults", "--database", "postgresql", "--json", "--only", only]
    words += ["--seed", str(seed), "--times", str(times), "--scale", str(scale)]
    environment = {name: value for name, value in os.environ.items() if name != "SUITE_INSTALLATIONS"}
    command = [sys.executable, "-m", "tests.resilience", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=False)
    return [Outcome(**one | {"seen": Counter(one["seen"])}) for one in json.loads(done.stdout)]


def table(outcomes: list[Outcome]) -> str:
    rows = ["| fault | injected | requests | lost | doubled | back after (s) | answered besides records |"]
    rows.append("|---|---|---|---|---|---|---|")
    for one in outcomes:
        if one.skipped:
            rows.append(f"| {one.fault} | skipped: {one.skipped} | | | | | |")
            continue
        recovery = "never" if one.recovery is None else f"{one.recovery:.1f}"
        seen = ", ".join(f"{count} x {what}" for what, count in one.seen.most_common(5)) or "nothing"
        cells = [one.fault, one.injected, one.requests, one.lost, one.doubled, recovery, seen]
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    for one in outcomes:
        rows += [f"{one.fault}: {note}" for note in one.notes]
        rows += [f"{one.fault}: PROBLEM: {problem}" for problem in one.problems]
    return "\n".join(rows)


def faults(options: argparse.Namespace) -> int:
    chosen = [fault for fault in FAULTS if re.search(options.only, fault.name)]
    outcomes = try_faults(chosen, seed=options.seed, times=options.times, scale=options.scale)
    show(json.dumps([vars(one) for one in outcomes], indent=1) if options.json else table(outcomes))
    return 0 if all(one.is_sound for one in outcomes) else 1


# ---------------------------------------------------------------- large pictures
def _megabytes(sizes: dict[str, int]) -> dict[str, int]:
    return {name: round(size / 2**20) for name, size in sizes.items()}


def bombs(options: argparse.Namespace) -> int:
    documents = []
    with running_system({"ANSWER_TIMEOUT": "30"}) as system:
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


# ---------------------------------------------------------------- load
def load(options: argparse.Namespace) -> int:
    with ExitStack() as running:
        system = running.enter_context(running_system({"ANSWER_TIMEOUT": "30"}))
        if options.workers > 1:
            running.enter_context(another_worker(system, "inference", "--concurrency", str(options.workers - 1)))
        traffic = Traffic(system, "load", clients=options.clients)
        measured = many_clients.measure(system, traffic, seconds=options.seconds)
        findings = check(system, [traffic])
    document: dict[str, Any] = vars(measured) | {
        "memory_mb": [{"at": round(at), **_megabytes(sizes)} for at, sizes in measured.memory],
        "growth_mb_per_minute": {name: round(measured.growth(name), 1) for name in ("web", "worker")},
        "unanswered": len(traffic.unanswered),
        "lost": findings.lost["load"],
        "doubled": findings.doubled["load"],
        "problems": findings.problems,
    }
    del document["memory"]
    show(json.dumps(document, indent=1))
    return 1 if measured.dishonest or findings.lost["load"] or findings.doubled["load"] or findings.problems else 0


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
