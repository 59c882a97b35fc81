"""Which GPU a process of a pool sees. No machine of the suite has two: the device files are made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.processes import use_own_gpu


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
