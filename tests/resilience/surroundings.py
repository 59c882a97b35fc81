"""In what a system runs while faults are tried on it: by name, what it is started with."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tests.object_storage import new_bucket
from tests.resilience.failing_storage import FailingStorage
from tests.resilience.system import System, running_system

_DISK_MEGABYTES = 600


@contextlib.contextmanager
def _embedded() -> Iterator[System]:
    """As people start it on one machine."""
    with running_system() as system:
        yield system


@contextlib.contextmanager
def _patient() -> Iterator[System]:
    with running_system({"ANSWER_TIMEOUT": "60"}) as system:
        yield system


@contextlib.contextmanager
def _with_usual_leases() -> Iterator[System]:
    """A training process that starts takes longer than the three seconds of the others."""
    with running_system({"LEASE_SECONDS": "30"}) as system:
        yield system


# ---------------------------------------------------------------- object storage
@contextlib.contextmanager
def _with_object_storage() -> Iterator[System]:
    """Images, maps and artifacts are in a bucket, behind a proxy that can fail."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    with new_bucket() as bucket, FailingStorage(bucket.endpoint) as proxy:
        environment = replace(bucket, endpoint=proxy.address).environment
        with running_system(environment, trains=True) as system:
            yield replace(system, storage=proxy)


# ---------------------------------------------------------------- disk
@contextlib.contextmanager
def _on_a_small_disk() -> Iterator[System]:
    """VAR_DIR, and with it database, broker, files and logs, is a file system of its own, in memory."""
    with _small_disk() as folder, running_system(folder=folder) as system:
        yield system


@contextlib.contextmanager
def _small_disk(megabytes: int = _DISK_MEGABYTES) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="mvtec-d-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "resilience", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=False)
        folder.rmdir()


def no_own_disk() -> str:
    return "" if os.geteuid() == 0 and shutil.which("mount") else "needs root, who may mount a file system"


# ---------------------------------------------------------------- clock
@dataclass(frozen=True)
class Clock:
    """That of all processes of a system, see clock.c."""

    file: Path

    def move(self, seconds: float) -> None:
        with self.file.open("r+b") as out:
            [before] = struct.unpack("d", out.read(8))
            out.seek(0)
            out.write(struct.pack("d", before + seconds))


@contextlib.contextmanager
def _with_a_clock() -> Iterator[System]:
    with tempfile.TemporaryDirectory(prefix="mvtec-c-") as folder:
        library, clock = Path(folder) / "clock.so", Clock(Path(folder) / "difference")
        clock.file.write_bytes(struct.pack("d", 0.0))
        source = Path(__file__).parent / "clock.c"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
        with running_system({"LD_PRELOAD": str(library), "RESILIENCE_CLOCK": str(clock.file)}) as system:
            yield replace(system, clock=clock)


def no_compiler() -> str:
    return "" if shutil.which("cc") else "needs a C compiler (cc), for a library between the system and its clock"


SURROUNDINGS = {
    "embedded": _embedded,
    "PostgreSQL": _embedded,  # of a process of its own, see `commands.faults`
    "patient callers": _patient,
    "usual leases": _with_usual_leases,
    "object storage": _with_object_storage,
    "a small disk": _on_a_small_disk,
    "a clock to set": _with_a_clock,
}
