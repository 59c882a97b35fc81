"""File storage that either has a whole file or none: written under a temporary name, fsynced, renamed."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import IO

from django.core.files import File
from django.core.files.storage import FileSystemStorage
from django.utils.deconstruct import deconstructible

from common.errors import UserError


class StorageFailed(UserError):
    code = "storage_failed"
    status = HTTPStatus.INSUFFICIENT_STORAGE


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder durable (a rename is only then safe from a power cut)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def write_whole(target: Path, *, mode: int = 0o666, replace: bool = True) -> Iterator[IO[bytes]]:
    """A file to write to, which appears at its place when the block is left, whole and durable, or not at all.

    `mode` is further narrowed by the umask. Without `replace` a file that is there already stays: `FileExistsError`.
    """
    partial = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
    try:
        with open(partial, "xb", opener=lambda path, flags: os.open(path, flags, mode)) as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        if replace:
            partial.replace(target)
        else:
            target.hardlink_to(partial)
        fsync_folder(target.parent)
    finally:
        partial.unlink(missing_ok=True)


@deconstructible
class DurableFileSystemStorage(FileSystemStorage):
    """Names come from the content, so a name that exists already holds the same bytes and is left alone."""

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        return name

    def _save(self, name: str, content: File) -> str:
        target = Path(self.path(name))
        with contextlib.suppress(FileNotFoundError):
            os.utime(target)  # whoever looks for files that nobody uses sees that somebody just did
            return name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with write_whole(target) as out:
                for chunk in content.chunks():
                    out.write(chunk)
        except OSError as error:
            raise StorageFailed(
                f"The file could not be stored ({error.strerror or error}). Nothing was kept. "
                "Free space in VAR_DIR or mend its permissions, then send it again."
            ) from error
        return name
