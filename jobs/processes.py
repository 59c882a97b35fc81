"""Child processes that do not outlive us, the GPU of each, and whether a process is still the one that it was."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import NamedTuple

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """For `preexec_fn`: on Linux the kernel ends the child when its parent dies, however that happens.

    Elsewhere the child goes on; leases and the lock of VAR_DIR keep that harmless.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def use_own_gpu(number: int, environment: MutableMapping[str, str] = os.environ, devices: Path = Path("/dev")) -> None:
    """Of several GPUs, the process `number` (from 0) of a pool sees one. Called before anything touches CUDA.

    Which there are says `CUDA_VISIBLE_DEVICES`, else the device files: in a container those that were given to it.
    """
    named = environment.get("CUDA_VISIBLE_DEVICES", "")
    visible = named.split(",") if named else [str(n) for n in range(len(list(devices.glob("nvidia[0-9]*"))))]
    if len(visible) > 1:
        environment["CUDA_VISIBLE_DEVICES"] = visible[number % len(visible)]


class ProcessBegin(NamedTuple):
    """A process and when it began, in ticks since the machine did: ids are given to others later."""

    pid: int
    ticks: int


def begin_of(pid: int) -> ProcessBegin | None:
    """None where there is no such process, or it has ended already; also where the system has no /proc."""
    try:
        # The name of the program, in parentheses, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, ticks = fields[0], int(fields[19])
    return None if state in "ZX" else ProcessBegin(pid, ticks)
