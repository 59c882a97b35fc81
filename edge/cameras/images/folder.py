"""A folder into which a camera or its software writes: every new file is a frame."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings

from common.paths import without_server_paths
from edge.cameras.images.frames import CameraLost, Frame, ImageSource
from inspection.batches.folders import FileUnreadable, read_in_roots
from records.assets.images import ImageRejected

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
_LOOK_SECONDS = 0.05
_SHARE_OF_TIME = 4  # a look at a large folder takes long: it pauses so many times as long

_State = tuple[int, int]  # nanoseconds, bytes


class FolderImages(ImageSource):
    """All files that are new, in the order in which they were written, each once; one that is overwritten is new.

    `settle`: a file that has not changed for so many seconds is whole. `since`: files of that moment and later ones are
    new, without it those that come after `open`. A file that is gone before it was read is a lost frame.
    """

    def __init__(self, folder: Path, *, settle: float, since: datetime | None = None) -> None:
        self._folder, self._settle = folder, settle
        self._since = since
        self._seen: dict[str, _State] = {}
        self._waiting: list[tuple[int, str, int]] = []
        self._number = self._lost = 0

    def open(self) -> None:
        if not settings.EDGE_TRIGGER_ROOTS:
            raise CameraLost("No folder may be read: EDGE_TRIGGER_ROOTS is empty.")
        self.camera = self._folder.name
        if self._since is None:
            self._seen = {name: (moment, size) for name, moment, size in self._files()}

    def read(self, timeout: float) -> Frame | None:
        end = time.monotonic() + timeout
        while True:
            began = time.monotonic()
            if not self._waiting:
                self._waiting = self._look()
            while self._waiting:
                frame = self._take(*self._waiting.pop(0))
                if frame is not None:
                    return frame
            now = time.monotonic()
            pause = max(_LOOK_SECONDS, _SHARE_OF_TIME * (now - began))
            if now + pause > end:
                time.sleep(max(0.0, end - now))
                return None
            time.sleep(pause)

    def close(self) -> None:
        """There is nothing to let go of."""

    def _files(self) -> Iterator[tuple[str, int, int]]:
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if entry.name.startswith(".") or not entry.name.lower().endswith(SUFFIXES):
                        continue
                    try:
                        facts = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    if stat.S_ISREG(facts.st_mode):
                        yield entry.name, facts.st_mtime_ns, facts.st_size
        except OSError as error:
            raise CameraLost(f"The folder {self._folder.name} cannot be read ({error.strerror}).") from error

    def _look(self) -> list[tuple[int, str, int]]:
        """What is new and whole, the oldest first."""
        first = self._since.timestamp() * 1e9 if self._since else 0.0
        newest = (time.time() - self._settle) * 1e9
        found, there = [], set()
        for name, moment, size in self._files():
            there.add(name)
            # Microseconds are what a moment of the database has.
            if size and first <= moment + 1000 and moment <= newest and self._seen.get(name) != (moment, size):
                found.append((moment, name, size))
        for name in set(self._seen) - there:
            del self._seen[name]
        return sorted(found)

    def _take(self, moment: int, name: str, size: int) -> Frame | None:
        self._seen[name] = (moment, size)
        self._number += 1
        try:
            data = read_in_roots(self._folder, name, roots=settings.EDGE_TRIGGER_ROOTS, setting="EDGE_TRIGGER_ROOTS")
        except (FileUnreadable, ImageRejected) as error:
            if not os.path.lexists(self._folder / name):
                self._lost += 1
                return None
            raise CameraLost(without_server_paths(error.detail)) from error
        lost, self._lost = self._lost, 0
        return Frame(
            key=f"{name}\n{moment}\n{size}",
            name=name,
            number=self._number,
            taken_at=datetime.fromtimestamp(moment / 1e9, UTC),
            at=time.monotonic() - (time.time() - moment / 1e9),
            lost=lost,
            file=data,
        )
