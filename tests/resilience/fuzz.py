"""Mutated files through upload validation, the archive reader and the loader of artifacts, in processes with limits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.environment import ROOT

_CHUNK = {"images": 5000, "archives": 2500, "artifacts": 1000}  # files for each process
MAX_SECONDS = 2.0  # of processor time for one file
MAX_BYTES = 1024**3
_STALLED_SECONDS = 60.0  # without a file more: it hangs where not even its own clock sees it


@dataclass
class FuzzReport:
    """What came of so many files."""

    kind: str
    files: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)  # by code
    crashes: list[str] = field(default_factory=list)  # any other exception, and the death of the process
    hangs: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)  # files that were touched beside their place
    longest: float = 0.0  # seconds of processor time for one file
    memory_mb: int = 0  # resident, at most

    @property
    def is_sound(self) -> bool:
        return not (self.crashes or self.hangs or self.outside) and self.memory_mb * 2**20 < MAX_BYTES


def run(kind: str, count: int, *, first: int = 0, seed: int = 1) -> FuzzReport:
    """The files with the numbers from `first` on. One that kills its process counts, and the next ones go on."""
    report = FuzzReport(kind)
    with tempfile.TemporaryDirectory(prefix="mvtec-z-") as folder:
        number, end = first, first + count
        while number < end:
            size = min(_CHUNK[kind], end - number)
            done = _run_child(kind, number, size, seed, Path(folder), report)
            if done < size:
                report.files += 1
                number += 1
            number += done
            sys.stderr.write(f"{kind}: {number - first} of {count}\n")
    return report


def _run_child(kind: str, first: int, count: int, seed: int, folder: Path, report: FuzzReport) -> int:
    """How many files a process got through; adds what it found."""
    progress, result = folder / "progress", folder / "result.json"
    progress.write_bytes(b"")
    result.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-m",
        "tests.resilience.fuzz_child",
        kind,
        str(first),
        str(count),
        str(seed),
        str(folder),
    ]
    with (folder / "stderr").open("wb") as errors:
        child = subprocess.Popen(command, cwd=ROOT, stderr=errors, env=os.environ | {"OMP_NUM_THREADS": "1"})
        size, since = 0, time.monotonic()
        while child.poll() is None:
            time.sleep(0.2)
            if (now := progress.stat().st_size) != size:
                size, since = now, time.monotonic()
            elif time.monotonic() - since > _STALLED_SECONDS:
                child.kill()
                child.wait()
                report.hangs.append(f"{kind} {first + size}: stalled")
    done = progress.stat().st_size
    if result.exists():
        _add(report, json.loads(result.read_text()))
    elif not any("stalled" in hang and hang.split(":")[0].endswith(f" {first + done}") for hang in report.hangs):
        last_words = (folder / "stderr").read_text(errors="replace")[-300:]
        report.crashes.append(f"{kind} {first + done}: the process ended with {child.returncode}: {last_words}")
    if not result.exists():
        report.files += done
    return done


def _add(report: FuzzReport, found: dict) -> None:
    report.files += found["files"]
    report.accepted += found["accepted"]
    report.refused.update(found["refused"])
    for name in ("crashes", "hangs", "outside"):
        getattr(report, name).extend(found[name])
    report.longest = max(report.longest, found["longest"])
    report.memory_mb = max(report.memory_mb, found["memory_mb"])
