"""The processor under a speed comparison: the instruction sets it has and is limited to, and what else it had to do.

An instruction set is emulated by asking each library, in its own words, to use no newer one. That says nothing about
clock rates, caches and memory of older processors: only which code runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from common.errors import UserError

NATIVE = "native"
# `avx512` is a processor without bfloat16 and AMX, such as Intel's of the 10th and 11th generation.
_NEEDED_FLAGS = {"avx2": {"avx2", "fma"}, "avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl"}}
ISAS = (*_NEEDED_FLAGS, NATIVE)
# These choose by the processor alone: nothing that they take limits them.
NOT_LIMITED = {
    "onnxruntime": "ONNX Runtime takes the newest instructions that the processor has",
    "compile": "torch.compile has its code compiled for the processor that it runs on",
}
# Variable of each library, what it covers, and its value for avx2 and avx512.
_LIMITS: Sequence[tuple[str, str, dict[str, str]]] = (
    ("ATEN_CPU_CAPABILITY", "PyTorch's own kernels", {"avx2": "avx2", "avx512": "avx512"}),
    (
        "ONEDNN_MAX_CPU_ISA",
        "oneDNN (convolutions, bfloat16) in PyTorch and OpenVINO",
        {"avx2": "AVX2", "avx512": "AVX512_CORE_VNNI"},
    ),
    (
        "MKL_ENABLE_INSTRUCTIONS",
        "MKL (matrix products in PyTorch) on Intel's processors; on others it decides by itself",
        {"avx2": "AVX2", "avx512": "AVX512"},
    ),
    (
        "OV_CPU_MAX_ISA",
        "OpenVINO, from 2026.4.1, except its matrix products (MLAS, as in ONNX Runtime)",
        {"avx2": "AVX2", "avx512": "AVX512_CORE_VNNI"},
    ),
    ("OPENBLAS_CORETYPE", "matrix products in NumPy and SciPy", {"avx2": "Haswell", "avx512": "SkylakeX"}),
    (
        "NPY_DISABLE_CPU_FEATURES",
        "NumPy's own loops",
        {"avx2": "X86_V4 AVX512_ICL AVX512_SPR", "avx512": "AVX512_SPR"},
    ),
    ("OPENCV_CPU_DISABLE", "OpenCV", {"avx2": "AVX512-SKX"}),
    (
        "GLIBC_TUNABLES",
        "copying in the C library",
        {"avx2": "glibc.cpu.hwcaps=" + ",".join(f"-AVX512{part}" for part in ("F", "VL", "BW", "DQ", "CD"))},
    ),
)

# Processors. A round counts as disturbed when others took more than this of what the sides needed.
MAX_OTHERS_SHARE = 0.1
_PROC = Path("/proc")


def limits(isa: str) -> dict[str, str]:
    """Environment variables that keep the libraries from instructions newer than `isa`.

    Raises:
        UserError: this processor lacks it, or whether it has it is not known.
    """
    if isa == NATIVE:
        return {}
    flags = _flags()
    if not flags:
        raise UserError(
            f"Whether this processor has {isa} is not known here ({_PROC}/cpuinfo lists no flags); use --isa native."
        )
    if missing := sorted(_NEEDED_FLAGS[isa] - flags):
        raise UserError(
            f"This processor lacks {', '.join(missing)}: {isa} cannot be measured here. Use --isa native, "
            "which is what it has."
        )
    return {name: values[isa] for name, _, values in _LIMITS if isa in values}


def coverage(isa: str) -> dict[str, Any]:
    """What the limits of `isa` reach, for the document: variable, its value, what it covers."""
    return {
        "name": isa,
        "limits": [
            {"variable": name, "value": values[isa], "covers": covers}
            for name, covers, values in _LIMITS
            if isa in values
        ],
        "not_limited": NOT_LIMITED if isa != NATIVE else {},
    }


def _flags() -> set[str]:
    try:
        lines = (_PROC / "cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return set(next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), []))


@dataclass(frozen=True)
class _Reading:
    """Seconds since some start: by the clock, computed by all programs, computed by the sides."""

    clock: float
    everybody: float
    sides: float


class OtherLoad:
    """How many processors other programs kept busy, round by round; steal of a virtual machine counts as theirs.

    Only the processors that this process may use are looked at. Without /proc nothing is known.

    Attributes:
        rounds: processors that others kept busy in each round, None where not known.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.processors = available_processors()
        self.rounds: list[float | None] = []
        self._before: _Reading | None = None

    def start(self, pids: Iterable[int]) -> None:
        """A round begins. `pids`: of the sides."""
        self._before = _read(pids, self.processors)

    def stop(self, pids: Iterable[int]) -> None:
        """It ended."""
        after = _read(pids, self.processors)
        if self._before is None or after is None:
            self.rounds.append(None)
        else:
            self.rounds.append(busy_by_others(self._before, after))

    def document(self) -> dict[str, Any]:
        known = [share for share in self.rounds if share is not None]
        disturbed = sum(is_disturbed(share, self.threads, len(self.processors)) for share in known)
        return {
            "rule": f"a round is disturbed when other programs kept more than {MAX_OTHERS_SHARE:g} of the processors "
            "busy that the sides needed; figures are not to be believed when half of the rounds are",
            "processors": len(self.processors),
            "busy_by_others": [None if share is None else round(share, 3) for share in self.rounds],
            "median": round(median(known), 3) if known else None,
            "disturbed_rounds": disturbed if known else None,
            "too_busy": 2 * disturbed >= len(known) if known else None,
        }


def load_sentence(load: dict[str, Any]) -> str:
    """What `OtherLoad.document` means."""
    if load["median"] is None:
        return "Whether other programs kept the machine busy is not known here."
    figures = f"others kept {load['median']:.2f} of {load['processors']} processors busy (median over the rounds)"
    if load["too_busy"]:
        return (
            f"The machine was too busy to believe these figures: {load['disturbed_rounds']} of "
            f"{len(load['busy_by_others'])} rounds were disturbed, {figures}. Repeat it while nothing else runs."
        )
    return f"Quiet enough: {load['disturbed_rounds']} rounds were disturbed, {figures}."


def busy_by_others(before: _Reading, after: _Reading) -> float:
    """Processors that others kept busy between two readings."""
    others = (after.everybody - before.everybody) - (after.sides - before.sides)
    return max(0.0, others / max(after.clock - before.clock, 1e-9))


def is_disturbed(others: float, threads: int, processors: int) -> bool:
    """Whether others took processors that sides of so many threads needed."""
    return others - max(0, processors - threads) > MAX_OTHERS_SHARE


def available_processors() -> set[int]:
    """Numbers of the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _read(pids: Iterable[int], processors: Collection[int]) -> _Reading | None:
    try:
        everybody = seconds_computed((_PROC / "stat").read_text(), processors)
        sides = sum(seconds_of_process((_PROC / str(pid) / "stat").read_text()) for pid in (*pids, os.getpid()))
    except (OSError, ValueError, IndexError):
        return None
    return _Reading(time.monotonic(), everybody, sides)


def seconds_computed(stat: str, processors: Collection[int]) -> float:
    """From the text of /proc/stat: what these processors did that was not idling, stolen time too."""
    names = {f"cpu{number}" for number in processors}
    ticks = 0
    for line in stat.splitlines():
        name, *fields = line.split()
        if name in names:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
            ticks += user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK")


def seconds_of_process(stat: str) -> float:
    """From the text of /proc/PID/stat: user and system time of all its threads and of children that ended."""
    # The name in parentheses may hold anything; state is the first field behind it, utime to cstime the 12th to 15th.
    fields = stat.rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
