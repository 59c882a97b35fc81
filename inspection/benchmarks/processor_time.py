"""Processor time of the processes of a running system, by stage of an inspection.

How much each process and thread has used is read from /proc. What for is sampled by py-spy, from outside: it stops
nothing and is not counted. Stages are told by the functions that a sample is in; threads without Python frames are
those of the model's mathematics.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import UserError

# Stages that any serving needs: what is left beside them is the price of a system of record.
BARE = ("decode and check", "prepare", "model", "map")
_RATE = 100  # samples a second
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
# By file and function; of a sample's frames the innermost that is here counts.
_STAGES = {
    "receive": {"channel.py:service", "worker.py:_turn", "multipart.py:read_multipart"},
    "sign in": {"views.py:perform_authentication"},
    "read fields": {"validation.py:parsed"},
    "decode and check": {"images.py:check_image", "images.py:open_rgb", "images.py:open_pixels"},
    "hand pixels over": {"pixel_cache.py:put", "pixel_cache.py:take"},
    "image file": {"services.py:store_image_file"},
    "request row": {"services.py:inspect_image", "selectors.py:deployment_in_force"},
    "call a worker": {"broker.py:publish"},
    "wait and fetch the record": {"services.py:await_inspection"},
    "answer": {"documents.py:inspection_document", "response.py:rendered_content"},
    "take the message": {"loops.py:asynloop", "pool.py:workloop", "trace.py:trace_task", "heartbeat.py:run"},
    "claim": {"worker.py:_claim_waiting"},
    "prepare": {"scoring.py:_prepare"},
    "model": {"scoring.py:_score_step"},
    "map": {"worker.py:decide_verdict"},
    "map file": {"worker.py:_with_map_stored"},
    "record": {"worker.py:judge_claimed", "worker.py:_record", "worker.py:_record_together"},
    "notice": {"broker.py:notify"},
}
_STAGE_OF = {function: stage for stage, functions in _STAGES.items() for function in functions}
_FRAME = re.compile(r"^(?:.*\.)?(?P<function>[\w<>]+) \((?:.*/)?(?P<file>[^/:]+)(?::\d+)?\)$")
_PURPOSES = {"gunicorn": "web", "celery": "workers", "valkey": "broker", "redis": "broker"}


@dataclass
class ProcessorTime:
    """Seconds since the system was looked at first: by process and, of those in Python, by stage."""

    by_process: dict[str, float] = field(default_factory=dict)
    by_stage: dict[str, float] = field(default_factory=dict)


@contextmanager
def measured(process_id: int) -> Iterator[ProcessorTime]:
    """What the descendants of a process use while the block runs; the figures are there afterwards.

    Raises `UserError` where there is no /proc or no py-spy.
    """
    spy = shutil.which("py-spy", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if not Path("/proc/self/task").is_dir() or spy is None:
        raise UserError("Stages are measured on Linux with py-spy (requirements-dev.txt). Leave --stages out.")
    result = ProcessorTime()
    pids = _descendants(process_id)
    with tempfile.TemporaryDirectory() as folder:
        spies = {pid: _Spy(spy, pid, Path(folder)) for pid in pids if _purpose(pid) in ("web", "workers")}
        for pid in pids:
            if pid in spies:
                spies[pid].begin()
        before = {pid: _seconds_of_threads(pid) for pid in pids}
        yield result
        used = {pid: _used(before[pid], _seconds_of_threads(pid)) for pid in pids}
        for pid in pids:
            result.by_process[_purpose(pid)] = result.by_process.get(_purpose(pid), 0.0) + sum(used[pid].values())
            if pid in spies:
                for stage, seconds in spies[pid].shares(used[pid]).items():
                    result.by_stage[stage] = result.by_stage.get(stage, 0.0) + seconds


class _Spy:
    """py-spy beside one process."""

    def __init__(self, program: str, pid: int, folder: Path) -> None:
        self._program, self._pid, self._out = program, pid, folder / f"{pid}.txt"

    def begin(self) -> None:
        threads = self._run("dump", "--nonblocking", "--json")
        self._python_threads = {thread["os_thread_id"] for thread in json.loads(threads)} if threads else set()
        words = ["record", "--nonblocking", "--rate", str(_RATE), "--format", "raw", "--output", str(self._out)]
        self._process = subprocess.Popen(
            [self._program, *words, "--duration", "unlimited", "--pid", str(self._pid)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _run(self, *words: str) -> str:
        done = subprocess.run([self._program, *words, "--pid", str(self._pid)], capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else ""

    def shares(self, used: dict[int, float]) -> dict[str, float]:
        """The processor time of the process by stage."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait()
        samples = stages_of(self._out.read_text()) if self._out.exists() else Counter()
        in_python = sum(seconds for thread, seconds in used.items() if thread in self._python_threads)
        number = sum(samples.values())
        shares = {stage: in_python * count / number for stage, count in samples.items()}
        if not number:
            shares["other"] = in_python
        shares["model"] = shares.get("model", 0.0) + sum(used.values()) - in_python
        return shares


def stages_of(text: str) -> Counter[str]:
    """Samples by stage, of lines `frame;frame;...;frame number` with the outermost frame first (py-spy's raw form)."""
    stages: Counter[str] = Counter()
    for line in text.splitlines():
        frames, _, number = line.rpartition(" ")
        inner = (_STAGE_OF.get(_place(frame)) for frame in reversed(frames.split(";")))
        stages[next((stage for stage in inner if stage), "other")] += int(number)
    return stages


def _place(frame: str) -> str:
    match = _FRAME.match(frame)
    return f"{match['file']}:{match['function']}" if match else ""


# ---------------------------------------------------------------- /proc
def _descendants(process_id: int) -> list[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The name of the program in brackets may hold anything; what is wanted comes after it.
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
    family = [process_id]
    for parent in family:
        family += [pid for pid, its_parent in parents.items() if its_parent == parent]
    return family


def _seconds_of_threads(pid: int) -> dict[int, float]:
    seconds = {}
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            fields = (task / "stat").read_text().rpartition(")")[2].split()
            seconds[int(task.name)] = (int(fields[11]) + int(fields[12])) / _TICKS
        except (OSError, ValueError, IndexError):
            continue
    return seconds


def _used(before: dict[int, float], after: dict[int, float]) -> dict[int, float]:
    return {thread: seconds - before.get(thread, 0.0) for thread, seconds in after.items()}


def _purpose(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        words = ""
    return next((purpose for word, purpose in _PURPOSES.items() if word in words), "supervisor")
