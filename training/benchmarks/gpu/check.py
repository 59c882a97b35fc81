"""Runs the sections one after the other within a time budget, each in a process of its own, and prints what they found.

A section that fails, hangs or takes CUDA down with it costs itself alone: what it had reported until then is kept, and
the next one starts in a process that has not touched the GPU.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import traceback
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from training.benchmarks.gpu.report import FAILED, MEASURED, NOT_RUN, PASSED, SKIPPED, STOPPED, Reporter, SkipSection

SCHEMA = 1
# A section stops by itself so many seconds before it would be ended.
GRACE_SECONDS = 3.0
INTERRUPTED = "interrupted"
# Read once by the process that all sections are forked from; none of it touches the GPU when it is imported.
_PRELOADED = ["torch", "modelzoo.detectors.artifacts", "modelzoo.detectors.engines.native"]
# Weights that are not there are not fetched: the time of that would be measured.
_ENVIRONMENT = {"BACKBONE_DOWNLOAD": "0"}


@dataclass(frozen=True)
class Section:
    """One part of the check.

    Attributes:
        name: as the report has it.
        path: module and function: it takes a `Setting` and a `Reporter`.
        share: of the time budget, at most.
        decides: whether the check as a whole fails where this did not pass.
        is_required: whether nothing else makes sense where this failed.
    """

    name: str
    path: str
    share: float
    decides: bool
    is_required: bool = False


_PACKAGE = "training.benchmarks.gpu"
# What decides comes first, what may take long last.
SECTIONS = (
    Section("facts", f"{_PACKAGE}.facts:facts", 0.1, False, is_required=True),
    Section("fit", f"{_PACKAGE}.correctness:fit", 0.4, True),
    Section("correctness", f"{_PACKAGE}.correctness:correctness", 0.4, True),
    Section("out of memory", f"{_PACKAGE}.memory:out_of_memory", 0.2, True),
    Section("padim matrices", f"{_PACKAGE}.memory:padim_matrices", 0.2, False),
    Section("speed", f"{_PACKAGE}.speed:speed", 0.3, False),
    Section("training", f"{_PACKAGE}.throughput:training", 0.2, False),
    Section("decoding", f"{_PACKAGE}.throughput:decoding", 0.1, False),
    Section("workers", f"{_PACKAGE}.throughput:workers", 0.2, False),
    Section("other runtimes", f"{_PACKAGE}.speed:other_runtimes", 1.0, False),
)


def run(device: str, seconds: float, sections: Sequence[Section] = SECTIONS) -> dict[str, Any]:
    """All sections, as far as the budget goes.

    Returns:
        The report, plain JSON; `passed` only where every section that decides has passed and none failed.
    """
    os.environ.update(_ENVIRONMENT)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    start = time.monotonic()
    results: list[dict[str, Any]] = []
    stopped_by = ""
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as folder:
        for section in sections:
            left = start + seconds - time.monotonic()
            if stopped_by:
                results.append(_result(section, NOT_RUN, 0.0, reason=stopped_by))
            elif left <= GRACE_SECONDS:
                results.append(_result(section, NOT_RUN, 0.0, reason=f"the budget of {seconds:g} s was used up"))
            else:
                until = time.monotonic() + min(left, max(section.share * seconds, 2 * GRACE_SECONDS))
                results.append(_run_section(context, section, device, Path(folder), until))
                if section.is_required and results[-1]["status"] == FAILED:
                    stopped_by = f"{section.name} failed"
                elif results[-1].get("reason") == INTERRUPTED:
                    stopped_by = INTERRUPTED
            _tell(results[-1])
    passed = all(
        result["status"] == PASSED if section.decides else result["status"] != FAILED
        for section, result in zip(sections, results, strict=True)
    )
    return {
        "schema": SCHEMA,
        "device": device,
        "passed": passed,
        "seconds": round(time.monotonic() - start, 1),
        "budget_seconds": seconds,
        "sections": results,
    }


def _run_section(context: Any, section: Section, device: str, folder: Path, until: float) -> dict[str, Any]:
    began = time.monotonic()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(section.path, device, folder, until - GRACE_SECONDS, sender))
    process.start()
    sender.close()
    rows: list[dict[str, Any]] = []
    checks: list[dict[str, Any]] = []
    end: dict[str, Any] | None = None
    try:
        while end is None and receiver.poll(max(0.0, until - time.monotonic())):
            kind, value = receiver.recv()
            if kind == "end":
                end = value
            else:
                (rows if kind == "row" else checks).append(value)
        if end is None:
            end = {"status": STOPPED, "reason": "it took longer than its share of the budget"}
    except KeyboardInterrupt:
        end = {"status": STOPPED, "reason": INTERRUPTED}
    except EOFError:
        process.join(GRACE_SECONDS)
        end = {"status": FAILED, "error": f"its process ended without an answer (exit status {process.exitcode})"}
    finally:
        _end(process)
    if not all(check["passed"] for check in checks):
        end["status"] = FAILED
    elif checks and end["status"] == MEASURED:
        end["status"] = PASSED
    return _result(section, seconds=time.monotonic() - began, rows=rows, checks=checks, **end)


def _result(
    section: Section,
    status: str,
    seconds: float,
    *,
    rows: Sequence[dict[str, Any]] = (),
    checks: Sequence[dict[str, Any]] = (),
    **why: str,
) -> dict[str, Any]:
    return {
        "name": section.name,
        "status": status,
        "seconds": round(seconds, 1),
        "checks": list(checks),
        "rows": list(rows),
        **why,
    }


def _end(process: Any) -> None:
    """Of the section's process and those that it started: they are a group of their own."""
    process.join(0.5)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()


def _work(path: str, device: str, folder: Path, until: float, sender: Connection) -> None:
    """In the section's process."""
    os.setsid()
    os.dup2(2, 1)  # standard output is for the report alone; libraries print
    reporter = Reporter(sender)
    try:
        from training.benchmarks.gpu.setting import Setting

        module, _, name = path.partition(":")
        getattr(import_module(module), name)(Setting(device, folder, until), reporter)
        reporter.end(MEASURED)
    except SkipSection as reason:
        reporter.end(SKIPPED, reason=str(reason))
    except Exception as error:  # noqa: BLE001 - whatever it was belongs into the report
        traceback.print_exc()
        reporter.end(FAILED, error=f"{type(error).__name__}: {error}"[:2000])


def _tell(result: dict[str, Any]) -> None:
    why = result.get("error") or result.get("reason") or ""
    failed = "; ".join(check["name"] for check in result["checks"] if not check["passed"])
    text = f"{result['name']}: {result['status']} in {result['seconds']} s. {why}{failed}"
    sys.stderr.write(text.rstrip() + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the report; 0 where it passed."""
    parser = ArgumentParser(description="Are the detectors right and quick on this machine's GPU? JSON to stdout.")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="cpu: a dry run with tiny sizes")
    parser.add_argument("--seconds", type=float, default=300.0, help="budget in all (default 300)")
    options = parser.parse_args(arguments)
    report = run(options.device, options.seconds)
    sys.stdout.write(json.dumps(report, indent=1, allow_nan=False) + "\n")
    return 0 if report["passed"] else 1
