"""The newest frame of each camera as a small file: the process that has the camera writes it, web processes show it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

STALE_SECONDS = 5.0  # then it is no live picture any more
_MAX_BYTES = 1024**2  # of a JPEG of 640 pixels: more than ever


@dataclass(frozen=True)
class LivePicture:
    """`age`: seconds since it was written; `version` differs from that of any other one."""

    jpeg: bytes
    age: float
    version: int

    @property
    def is_live(self) -> bool:
        return self.age <= STALE_SECONDS


def _path(connection_id: int) -> Path:
    return Path(settings.VAR_DIR) / "live" / f"{connection_id}.jpg"


def write_live(connection_id: int, jpeg: bytes) -> None:
    """By one process at a time; whoever reads sees a whole file. It is no evidence, so no disk is waited for."""
    path = _path(connection_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(jpeg)
    part.replace(path)


def remove_live(connection_id: int) -> None:
    _path(connection_id).unlink(missing_ok=True)


def read_live(connection_id: int) -> LivePicture | None:
    """None where there is none, or no JPEG."""
    try:
        with _path(connection_id).open("rb") as file:
            jpeg, facts = file.read(_MAX_BYTES + 1), os.fstat(file.fileno())
    except OSError:
        return None
    if len(jpeg) > _MAX_BYTES or not jpeg.startswith(b"\xff\xd8\xff"):
        return None
    return LivePicture(jpeg, max(0.0, time.time() - facts.st_mtime), facts.st_mtime_ns)


def is_live(connection_id: int) -> bool:
    """Whether there is a picture of now, without reading it."""
    try:
        return time.time() - _path(connection_id).stat().st_mtime <= STALE_SECONDS
    except OSError:
        return False
