"""Where the picture of a trigger comes from that brings none along: the newest one of a source."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings

from edge.cameras.running import running_camera
from edge.cameras.services import FrameFacts
from edge.triggers.services import TriggerRejected
from inspection.batches.folders import FileUnreadable, read_in_roots
from records.assets.images import ImageRejected

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
_LOOK_SECONDS, _CAMERA_SECONDS = 0.02, 0.2
FOLDER, CAMERA = "folder", "camera"  # where a trigger has its picture from


class NoPicture(TriggerRejected):
    """The source has no picture of this part."""

    code = "no_picture"


@dataclass(frozen=True)
class Picture:
    """`frame`: how a camera of this system took it."""

    name: str
    data: bytes
    frame: FrameFacts | None = None


class PictureSource(Protocol):
    def newest(self, *, since: float, wait: float) -> Picture:
        """The newest picture of a part whose trigger came at `since` (monotonic seconds).

        It waits so many seconds for one that is young enough, and gives none twice. Raises `NoPicture`.
        """


class FolderPictures:
    """The newest file of a folder inside EDGE_TRIGGER_ROOTS, into which a camera writes.

    `max_age`: how many seconds before its trigger a picture may have been taken; `settle`: a file that has not changed
    for so many seconds is whole.
    """

    def __init__(self, folder: Path, *, max_age: float, settle: float) -> None:
        self._folder, self._max_age, self._settle = folder, max_age, settle
        self._used: tuple[str, int, int] | None = None  # name, nanoseconds, bytes

    def newest(self, *, since: float, wait: float) -> Picture:
        oldest = time.time() - (time.monotonic() - since) - self._max_age
        end = time.monotonic() + wait
        while True:
            found = self._look(oldest)
            if found is not None:
                self._used = found
                return Picture(found[0], self._read(found[0]))
            if time.monotonic() >= end:
                raise NoPicture(
                    f"The folder {self._folder.name} has no new picture of this part. Nothing was judged. Look whether "
                    "the camera writes into it, and how old a picture may be."
                )
            time.sleep(_LOOK_SECONDS)

    def _look(self, oldest: float) -> tuple[str, int, int] | None:
        """The newest file, where it is young enough, whole, and was not used."""
        newest: tuple[str, int, int] | None = None
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if entry.name.startswith(".") or not entry.name.lower().endswith(SUFFIXES):
                        continue
                    facts = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(facts.st_mode) and (newest is None or facts.st_mtime_ns > newest[1]):
                        newest = (entry.name, facts.st_mtime_ns, facts.st_size)
        except OSError as error:
            raise NoPicture(
                f"The folder {self._folder.name} cannot be read ({error.strerror}). Nothing was judged."
            ) from error
        if newest is None or newest == self._used or newest[1] < oldest * 1e9 or newest[2] == 0:
            return None
        return newest if time.time() - newest[1] / 1e9 >= self._settle else None

    def _read(self, name: str) -> bytes:
        if not settings.EDGE_TRIGGER_ROOTS:
            raise NoPicture("No folder may be read by triggers: EDGE_TRIGGER_ROOTS is empty. Nothing was judged.")
        try:
            return read_in_roots(self._folder, name, roots=settings.EDGE_TRIGGER_ROOTS, setting="EDGE_TRIGGER_ROOTS")
        except FileUnreadable as error:
            raise NoPicture(error.detail) from error
        except ImageRejected as error:
            raise TriggerRejected(error.detail) from error


class CameraPictures:
    """The newest frame of a camera that this process keeps as another connection."""

    def __init__(self, name: str, *, max_age: float) -> None:
        self._name, self._max_age = name, max_age
        self._used = ""

    def newest(self, *, since: float, wait: float) -> Picture:
        end = time.monotonic() + wait
        while True:
            camera = running_camera(self._name)
            if camera is not None:
                # In pieces: a camera that is lost is another one when it is back.
                left = min(_CAMERA_SECONDS, max(0.0, end - time.monotonic()))
                frame = camera.wait_for(oldest=since - self._max_age, but=self._used, wait=left)
                if frame is not None:
                    self._used = frame.key
                    return Picture(frame.name, frame.data(), camera.facts_of(frame))
            if time.monotonic() >= end:
                raise NoPicture(self._why(camera is not None))
            if camera is None:
                time.sleep(_LOOK_SECONDS)

    def _why(self, is_running: bool) -> str:
        if not is_running:
            return (
                f"The camera {self._name} does not run. Nothing was judged. Look at its connection: it must be enabled "
                "and open, and have this name."
            )
        return (
            f"The camera {self._name} has no new frame of this part. Nothing was judged. Look at its live view, and "
            "how old a picture may be."
        )


def make_pictures(values: Mapping[str, Any]) -> PictureSource:
    """By the settings of a connection; those of an older version name no source: it was the folder."""
    if values.get("picture_source") == CAMERA:
        return CameraPictures(values["picture_camera"], max_age=values["picture_age_ms"] / 1000)
    return FolderPictures(
        Path(values["picture_folder"]),
        max_age=values["picture_age_ms"] / 1000,
        settle=values["picture_settle_ms"] / 1000,
    )
