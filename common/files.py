"""Files and folders that are there whole or not at all: written under another name, then renamed. Needs no Django.

What is durable when: inside the block nothing is; what is written stands under a hidden name, which is all that a
killed process leaves. When the block of a durable one is left without an error, content and name have reached the disk
and survive a power cut. When it is left with one, or the disk refuses, what was at the place before is untouched and
nothing else remains. With `durable=False` readers see a whole file all the same, but after a power cut it may be
missing or empty: for what can be made again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def write_whole(target: Path, *, mode: int = 0o666, replace: bool = True, durable: bool = True) -> Iterator[IO[bytes]]:
    """A file to write to, which appears at its place when the block is left, whole, or not at all.

    Args:
        mode: is further narrowed by the umask.
        replace: without it a file that is there already stays: `FileExistsError`.
        durable: whether it has to survive a power cut.
    """
    partial = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
    try:
        with open(partial, "xb", opener=lambda path, flags: os.open(path, flags, mode)) as out:
            yield out
            if durable:
                out.flush()
                os.fsync(out.fileno())
        if replace:
            partial.replace(target)
        else:
            target.hardlink_to(partial)
        if durable:
            sync_folder(target.parent)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def write_folder(target: Path) -> Iterator[Path]:
    """A folder to fill, which appears at its place when the block is left, whole and durable, or not at all.

    Raises `OSError` where the folder is there already and not empty. The folders above it are made.
    """
    partial = target.parent / f".{target.name}.partial-{secrets.token_hex(4)}"
    try:
        partial.mkdir(parents=True)
        yield partial
        for folder, _, names in os.walk(partial):
            for name in names:
                _sync(Path(folder) / name)
            sync_folder(Path(folder))
        partial.rename(target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: without it a power cut may undo a rename."""
    try:
        _sync(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems of other machines may have no such thing
            raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
