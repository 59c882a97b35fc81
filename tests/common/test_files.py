"""Files and folders are there whole, or not at all: with a killed process, a full disk, a power cut."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

import pytest

from common.files import write_folder, write_whole
from tests.environment import ROOT


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "file"
    with write_whole(target, mode=0o600) as out:
        out.write(b"first")
        assert not target.exists()
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (b"first", 0o600)
    with write_whole(target) as out:
        out.write(b"second")
    assert target.read_bytes() == b"second"
    with pytest.raises(FileExistsError), write_whole(target, replace=False) as out:
        out.write(b"third")
    assert (target.read_bytes(), list(tmp_path.iterdir())) == (b"second", [target])


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder"
    with write_folder(target) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_bytes(b"first")
        assert not target.exists()
    assert (target / "inner" / "file").read_bytes() == b"first"
    with pytest.raises(OSError, match="not empty"), write_folder(target) as folder:
        (folder / "file").write_bytes(b"second")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["folder"]
    assert [path.name for path in target.iterdir()] == ["inner"]


def test_nothing_is_left_of_what_failed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"kept")
    with pytest.raises(TypeError), write_whole(tmp_path / "file") as out:
        out.writelines([b"half", "no bytes"])  # type: ignore[list-item]
    with pytest.raises(TypeError), write_folder(tmp_path / "folder") as folder:
        (folder / "file").write_bytes("no bytes")  # type: ignore[arg-type]
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"kept")]


@pytest.mark.parametrize("durable", [True, False])
def test_a_disk_that_refuses_leaves_what_was_there(tmp_path: Path, durable: bool) -> None:
    (tmp_path / "file").write_bytes(b"kept")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"), write_whole(tmp_path / "file", durable=durable) as out:
            out.write(b"x" * 2000)
        with pytest.raises(OSError, match="too large"), write_folder(tmp_path / "folder") as folder:
            (folder / "file").write_bytes(b"x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"kept")]


@pytest.mark.parametrize(
    "write",
    [
        "with write_whole(target) as out: out.write(b'half'); out.flush(); wait()",
        "with write_folder(target) as out: (out / 'file').write_bytes(b'half'); wait()",
    ],
)
def test_a_killed_process_leaves_what_was_there(tmp_path: Path, write: str) -> None:
    (tmp_path / "target").write_bytes(b"kept")
    script = (
        "import pathlib, sys; from common.files import write_folder, write_whole;"
        "wait = lambda: (print('half', flush=True), sys.stdin.read());"
        f"target = pathlib.Path({str(tmp_path / 'target')!r})\n{write}"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        process.kill()
    assert (tmp_path / "target").read_bytes() == b"kept"
    others = [path.name for path in tmp_path.iterdir() if path.name != "target"]
    assert [name[0] for name in others] == ["."], "what is left is hidden"


def test_what_is_durable_is_synced_before_it_has_its_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[bool, bool]] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), (tmp_path / "target").exists()))
        real(descriptor)

    def fill(block: AbstractContextManager[IO[bytes] | Path]) -> list[tuple[bool, bool]]:
        synced.clear()
        with block as out:
            if isinstance(out, Path):
                (out / "file").write_bytes(b"x")
            else:
                out.write(b"x")
        return list(synced)

    monkeypatch.setattr(os, "fsync", fsync)
    assert fill(write_whole(tmp_path / "other", durable=False)) == []
    assert fill(write_whole(tmp_path / "target")) == [(False, False), (True, True)]
    (tmp_path / "target").unlink()
    assert fill(write_folder(tmp_path / "target")) == [(False, False), (True, False), (True, True)]
