"""How the sides of a speed comparison are talked to: one JSON document a line, over standard input and output.

Each side is a process of its own and measures when it is asked, so that all take turns and a slow minute of the machine
meets all alike. Nothing but the standard library is imported here: peers run it in virtual environments of their own.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
Answers = Mapping[str, Callable[..., dict[str, Any]]]


class SideFailed(Exception):
    """A side could not start or ended; says what it wrote last."""


class Side:
    """A process that answers `measure` requests; its first line says what it is.

    It has a session and a folder for temporary files of its own: Ctrl-C reaches only who asks, and ending a side in the
    middle of something leaves nothing behind.

    Args:
        environment: variables that it gets beside ours.
    """

    def __init__(self, command: list[str], *, threads: int, environment: Mapping[str, str] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="side-", ignore_cleanup_errors=True)
        variables = {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT), "TMPDIR": self._folder.name}
        variables |= environment or {}
        # As workers run: threads that wait a moment for the next operation. They sleep before another side's turn.
        inherited = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
        try:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=inherited | variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        except OSError:
            self._folder.cleanup()
            raise
        try:
            self.hello = self._read()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        """End the process and those that it started, whatever they are doing; some put off what asks them to."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._folder.cleanup()

    def ask(self, measure: str, **arguments: Any) -> dict[str, Any]:
        """One measurement. Raises `SideFailed` when the process is gone."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"measure": measure, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise SideFailed(f"It ended before it was requested {measure}.") from error
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"failed": "It ended without an answer; see above."}
        if "failed" in answer:
            raise SideFailed(answer["failed"])
        return answer


def serve(start: Callable[[], tuple[dict[str, Any], Answers]]) -> None:
    """The other end: say what `start` returns first, then answer until nobody asks any more.

    Each answer also says `peak_mb`, the most memory so far, and `avx512`, as `used_avx512` saw it meanwhile.
    What is printed meanwhile goes to standard error: standard output is for the answers alone.
    """
    out = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        try:
            hello, answers = start()
            print(json.dumps(hello), file=out, flush=True)
            for line in sys.stdin:
                request = json.loads(line)
                began = time.monotonic()
                answer = answers[request.pop("measure")](**request)
                answer |= {"peak_mb": peak_mb(), "avx512": used_avx512(time.monotonic() - began)}
                print(json.dumps(answer), file=out, flush=True)
        except Exception as error:  # noqa: BLE001 - whatever it is, the asking side has to be told
            print(json.dumps({"failed": f"{type(error).__name__}: {error}"}), file=out, flush=True)


def milliseconds(call: Callable[[], object], repeats: int = 7, enough_seconds: float = 2.0) -> float:
    """Median of a few calls after two that only bring memory and threads back from the other sides' turns.

    No further call is made after `enough_seconds`: where calls are long, few say as much.
    """
    call()
    call()
    times: list[float] = []
    while len(times) < repeats and sum(times) < enough_seconds:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def peak_mb() -> float:
    """Most memory that this process has had resident, in MB."""
    # Kilobytes on Linux, bytes on macOS.
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)


def used_avx512(seconds: float) -> bool | None:
    """Whether a thread of this process was seen with AVX-512 registers in use during the last seconds.

    Linux looks when a thread gives way to another: what is seen was used, what is not seen may have been. None where
    nobody looks.
    """
    used = None
    for status in Path("/proc/self/task").glob("*/arch_status"):
        with contextlib.suppress(OSError):
            for line in status.read_text().splitlines():
                name, _, value = line.partition(":")
                if name == "AVX512_elapsed_ms":
                    used = bool(used) or 0 <= int(value) <= seconds * 1000
    return used
