"""Reads: images in a folder of this machine: one that a batch may name, or one that is watched.

A batch may name folders inside the roots that the installation allows (BATCH_ROOTS) and no others. Where they lie
does not show: what is not there and what is not allowed get one and the same answer.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from common.errors import Conflict, NotFound, UserError
from records.assets.file_tree import (
    NO_IMAGE,
    UNFINISHED,
    UNREADABLE,
    SkippedFiles,
    is_image,
    is_unfinished,
    open_below,
    walk,
)
from records.assets.formats import SNIFFED_BYTES, format_in_name
from records.assets.images import ImageRejected, check_size
from records.assets.selectors import upload_limits

_ENTRIES_FOR_EACH_IMAGE = 10  # looked at, at most, on the way to as many images as a batch may have


class FileUnreadable(UserError):
    code = "file_unreadable"


def find_folder(folder_name: str) -> Path:
    """The folder of that name (absolute, or below one of the roots), symbolic links followed.

    Raises `NotFound`, also for what lies outside of the roots, of which nothing is looked at.
    """
    if not settings.BATCH_ROOTS:
        raise Conflict(
            "No folder of the server may be read: BATCH_ROOTS is empty. Nothing was done. Send a zip, or ask an "
            "administrator to set BATCH_ROOTS to the folder with the images.",
            code="no_batch_roots",
        )
    for root in map(Path, settings.BATCH_ROOTS):
        folder = _inside(root, folder_name)
        if folder is not None:
            return folder
    raise NotFound(
        f"There is no folder {folder_name[:200]!r} inside the allowed roots (BATCH_ROOTS). Nothing was done.",
        code="folder_not_found",
    )


def _inside(root: Path, folder_name: str) -> Path | None:
    if ".." in Path(folder_name).parts:
        return None
    try:
        real_root, candidate = root.resolve(strict=True), root / folder_name
        if not (candidate.is_relative_to(root) or candidate.is_relative_to(real_root)):
            return None
        real = candidate.resolve(strict=True)
        return real if real.is_relative_to(real_root) and real.is_dir() else None
    except (OSError, ValueError, RuntimeError):
        return None


@dataclass(frozen=True)
class FolderListing:
    """The images of a folder: their paths below it, in order, and what was left out."""

    images: list[str]
    left_out: SkippedFiles


def images_in(folder: Path) -> FolderListing:
    """The images below a folder, by the rules of `records.assets.file_tree`.

    A file whose name claims a format is not opened for it; of any other the first bytes are read. Raises
    `folder_too_large` beyond BATCH_MAX_ZIP_FILES images: a part of a folder would be taken for the whole.
    """
    max_images = settings.BATCH_MAX_ZIP_FILES
    images: list[str] = []
    left_out = SkippedFiles()
    try:
        opened = _open(folder, "", os.O_DIRECTORY)
        try:
            for looked_at, path in enumerate(walk(opened, left_out)):
                if looked_at >= max_images * _ENTRIES_FOR_EACH_IMAGE:
                    raise _too_large(f"more than {max_images * _ENTRIES_FOR_EACH_IMAGE:,} files")
                reason = _why_not(folder, path)
                if reason:
                    left_out.add(path, reason)
                    continue
                images.append(path)
                if len(images) > max_images:
                    raise _too_large(f"more than {max_images:,} images (BATCH_MAX_ZIP_FILES)")
        finally:
            os.close(opened)
    except RecursionError as error:
        raise _too_large(str(error)) from error
    except (OSError, FileUnreadable) as error:
        reason = getattr(error, "strerror", None) or "it is not there any more"
        raise UserError(
            f"A folder inside {folder.name!r} cannot be listed ({reason}). Nothing was done.",
            code="folder_unreadable",
            status=Conflict.status,
        ) from error
    return FolderListing(sorted(images), left_out)


def _why_not(folder: Path, path: str) -> str:
    """Why a file is not looked at as an image; empty where it is."""
    if is_unfinished(path):
        return UNFINISHED
    if format_in_name(path):
        return ""  # it is read, and refused where it must be, when its turn comes
    try:
        with os.fdopen(_open(folder, path), "rb") as file:
            is_regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            return "" if is_image(path, file.read(SNIFFED_BYTES) if is_regular else b"") else NO_IMAGE
    except (OSError, FileUnreadable):
        return UNREADABLE


def _too_large(what: str) -> UserError:
    return UserError(
        f"The folder has {what}. Nothing was done. Name its folders one by one.",
        code="folder_too_large",
        status=ImageRejected.TOO_LARGE,
    )


def read_in_roots(
    folder: Path, path: str, *, roots: Sequence[Path] | None = None, setting: str = "BATCH_ROOTS"
) -> bytes:
    """A file of a folder that somebody named, if it still lies inside the roots, wherever links lead.

    `roots`: those of batches, where none are given; `setting` is what they are called. Raises what `read_file` raises.
    """
    return _read(lambda: _open(folder, path, roots=roots, setting=setting))[0]


def _open(
    folder: Path, path: str, flags: int = 0, *, roots: Sequence[Path] | None = None, setting: str = "BATCH_ROOTS"
) -> int:
    """A descriptor of what a path leads to, links followed, if that lies inside the roots.

    Where it leads is found first; then it is opened from its root down without following any link, so that a folder
    that is swapped for a link in between leads nowhere. Raises `FileUnreadable` and OSError.
    """
    try:
        real = (folder / path).resolve(strict=True)
        resolved = [Path(root).resolve() for root in (settings.BATCH_ROOTS if roots is None else roots)]
    except (OSError, ValueError, RuntimeError) as error:
        raise _unreadable(error) from error
    root = next((root for root in resolved if real.is_relative_to(root)), None)
    if root is None:
        raise FileUnreadable(f"The file is not inside the allowed roots ({setting}). It was not read.")
    return open_below(root, real.relative_to(root), flags)


def read_file(path: Path) -> tuple[bytes, os.stat_result]:
    """A regular file (no link, no device), and what it was when it was opened.

    Raises `FileUnreadable`, and `ImageRejected` for what is empty or larger than an image may be, before it is read.
    """
    # Not blocking: a pipe without a writer would be waited for.
    return _read(lambda: os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC))


def _read(open_it: Callable[[], int]) -> tuple[bytes, os.stat_result]:
    try:
        descriptor = open_it()
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise FileUnreadable("It is not a regular file. It was not read.")
            check_size(status.st_size, upload_limits())
            # It may be growing: upload validation refuses one byte too many.
            return file.read(settings.MAX_FILE_SIZE + 1), status
    except OSError as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> FileUnreadable:
    reason = getattr(error, "strerror", None) or "it cannot be found"
    return FileUnreadable(f"The file cannot be read ({reason}). It was not judged.")
