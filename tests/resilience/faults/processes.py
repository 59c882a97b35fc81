"""Processes die: killed by hand, or by the kernel for want of memory."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.resilience.faults.injection import Fault, Injection
from tests.resilience.faults.sending import large_picture, send_image
from tests.resilience.faults.sentences import ALL_KEPT, CLAIMS_BACK, SENT_AGAIN
from tests.stack.conftest import wait_for


def _kill(part: str) -> Callable[[Injection], float]:
    def inject(injection: Injection) -> float:
        wait_for(lambda: injection.system.kill(part), 60)
        return time.monotonic()

    return inject


def _kill_supervisor(injection: Injection) -> float:
    """And start again at once, while what it had started still ends."""
    stack = injection.system.stack
    assert stack.process
    stack.process.kill()
    stack.process.wait()
    stack.start()
    return time.monotonic()


# ---------------------------------------------------------------- memory
_LIMIT_BYTES = 64 * 1024**2  # beyond what the process has


@dataclass(frozen=True)
class _MemoryGroup:
    """A control group below our own. What a process has when it enters stays on the account of where it was."""

    folder: Path

    @property
    def _is_v1(self) -> bool:
        return (self.folder / "memory.limit_in_bytes").exists()

    def limit(self, pid: int, size: int) -> None:
        (self.folder / ("memory.limit_in_bytes" if self._is_v1 else "memory.max")).write_text(str(size))
        (self.folder / "cgroup.procs").write_text(str(pid))

    def kills(self) -> int:
        """How many processes of it the kernel has ended."""
        counts = self.folder / ("memory.oom_control" if self._is_v1 else "memory.events")
        lines = dict(line.split() for line in counts.read_text().splitlines())
        return int(lines["oom_kill"])


@contextlib.contextmanager
def _memory_group() -> Iterator[_MemoryGroup]:
    """Raises `OSError` where this machine or account has none."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    places = [Path("/sys/fs/cgroup/memory") / path.strip("/") for _, kinds, path in lines if "memory" in kinds]
    places = places or [Path("/sys/fs/cgroup") / path.strip("/") for _, kinds, path in lines if not kinds]
    if not places:
        raise FileNotFoundError("there are no control groups")
    folder = places[0] / f"resilience-{os.getpid()}"
    folder.mkdir()
    try:
        if not list(folder.glob("memory.*")):
            raise FileNotFoundError("the control group of this account cannot limit memory")
        yield _MemoryGroup(folder)
    finally:
        for pid in (folder / "cgroup.procs").read_text().split():
            os.kill(int(pid), signal.SIGKILL)
        wait_for(lambda: not (folder / "cgroup.procs").read_text(), 60)
        folder.rmdir()


def _no_memory_group() -> str:
    try:
        with _memory_group():
            return ""
    except OSError as error:
        return f"needs a control group for memory: {error}"


def _take_memory_away(injection: Injection) -> float:
    """The worker's process may have little more than it has when it gets a picture of 25 megapixels."""
    with _memory_group() as group:
        [child] = wait_for(lambda: injection.system.processes_of("inference worker's child"), 60)
        group.limit(child.pid, _LIMIT_BYTES)
        answer = send_image(injection.system, large_picture(5000), name="large.png")
        back = time.monotonic()
        injection.expect(group.kills() > 0, f"the limit ended nothing; answered {answer}")
    injection.traffic.seen[f"large: {answer}"] += 1
    return back


PROCESSES = (
    *(
        Fault(f"kill -9: {part}", _kill(part), sees=SENT_AGAIN, keeps=ALL_KEPT, recovers=CLAIMS_BACK)
        for part in (
            *("web server", "web server's child", "inference worker", "inference worker's child", "scheduler"),
            "broker",
        )
    ),
    Fault(
        "kill -9: supervisor, started again at once",
        _kill_supervisor,
        sees=SENT_AGAIN,
        keeps=ALL_KEPT,
        recovers="`manage.py run` ends what is left of the killed run, at most 10 s, and starts",
    ),
    Fault(
        "the kernel ends the worker's child for want of memory",
        _take_memory_away,
        sees=SENT_AGAIN,
        keeps=ALL_KEPT,
        recovers="the worker makes a new process and gives it what the old one had begun",
        times=2,
        impossible=_no_memory_group,
    ),
)
