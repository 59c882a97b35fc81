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
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

UMASK = 0o077  # files are for the account that makes them alone
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


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


def is_disk_full(error: BaseException) -> bool:
    """Whether a file could not be written for want of room: of the disk, or of what this user may have of it."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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


# ---------------------------------------------------------------- for whom files are
def keep_private(*folders: Path) -> None:
    """From here on this process and its children make files for their own account alone; folders of an installation
    that others could enter are closed, and stderr says so once."""
    os.umask(UMASK)
    closed, open_still = tighten(*folders)
    if closed:
        first = ", ".join(str(path) for path in closed[:3]) + (" and others" if len(closed) > 3 else "")
        sys.stderr.write(
            f"Notice: other accounts of this machine could read {first} ({len(closed)} in all). They can no longer. "
            "Whoever had an account here may have read keys and sessions: docs/operations.md, Who may read the state.\n"
        )
    for path in open_still:
        sys.stderr.write(
            f"Warning: other accounts of this machine can read {path}, which belongs to another account or a file "
            f"system without permissions. Correct it: chmod -R go= {path}\n"
        )


def tighten(*folders: Path) -> tuple[list[Path], list[Path]]:
    """Take group and others off these folders and all that lies directly in them or in their `logs`.

    What lies deeper is behind a closed folder then. Only a folder that is open is looked into, so a start costs a
    `stat` for each. What was closed, and the folders that could not be.
    """
    closed: list[Path] = []
    failed: list[Path] = []
    for folder in folders:
        if not folder.is_dir() or not _is_open(folder):
            continue
        # From the inside out: what is interrupted is begun again at the next start.
        inside = [*_entries(folder / "logs"), *_entries(folder)]
        closed += [path for path in inside if _is_open(path) and _close(path)]
        if _close(folder):
            closed.append(folder)
        else:
            failed.append(folder)
    return closed, failed


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.is_symlink())
    except OSError:
        return []


def _is_open(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & _OTHERS)
    except OSError:  # gone meanwhile
        return False


def _close(path: Path) -> bool:
    try:
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~_OTHERS)
    except OSError:
        return False
    return not _is_open(path)
