"""Which GPU a process of a pool sees (the device files are made up), and whether a process is the one that it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.processes import begin_of, use_own_gpu


@pytest.mark.parametrize(
    ("files", "named", "seen"),
    [
        (0, None, [None, None, None]),
        (1, None, [None, None, None]),
        (2, None, ["0", "1", "0"]),
        (4, "2,3", ["2", "3", "2"]),
        (4, "3", ["3", "3", "3"]),
        (4, "GPU-a,GPU-b,GPU-c", ["GPU-a", "GPU-b", "GPU-c"]),
        (4, "", ["0", "1", "2"]),
    ],
)
def test_each_process_of_a_pool_sees_one_of_several_gpus(
    tmp_path: Path, files: int, named: str | None, seen: list[str | None]
) -> None:
    for name in ("nvidiactl", "nvidia-uvm", *(f"nvidia{number}" for number in range(files))):
        (tmp_path / name).touch()
    for number, expected in enumerate(seen):
        environment = {} if named is None else {"CUDA_VISIBLE_DEVICES": named}
        use_own_gpu(number, environment, tmp_path)
        assert (environment.get("CUDA_VISIBLE_DEVICES") or None) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_is_the_same_while_it_runs_and_none_afterwards() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    began = begin_of(child.pid)
    assert began is not None
    assert began.pid == child.pid
    assert begin_of(child.pid) == began
    assert begin_of(os.getpid()) != began
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has taken note of it yet
    assert begin_of(child.pid) is None
    child.communicate()
    assert begin_of(child.pid) is None
