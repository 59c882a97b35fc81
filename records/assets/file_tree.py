"""The rules by which every reader of many files chooses: folders, watched folders, zips, tars and data sets.

* Hidden files (a leading dot) are left out, and so is what lies in hidden folders. The junk that operating systems add
  by themselves is passed over without a word.
* A file is an image by its first bytes, whatever its name says; one whose name claims a known format is taken as
  one too, so that it is refused with a sentence instead of being overlooked. Everything else is left out.
* Names of files that are still being written or sent (`.part`, `.tmp`, ...) are left out.
* Links to files are followed within the folder that may be read, and never out of it. A walk through all folders does
  not enter links to folders: a picture would come twice, or for ever.
* What is left out is counted and said, and so are names whose encoding nobody can tell.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from records.assets.formats import SNIFFED_BYTES, format_in_name, format_of

MAX_DEPTH = 20  # folders in folders

HIDDEN = "hidden"
NO_IMAGE = "not an image file"
UNFINISHED = "unfinished by name"
FOLDER_LINK = "links to folders"
UNREADABLE = "not readable"

_JUNK = {"__macosx", ".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "@eadir"}
_UNFINISHED = {".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".download", ".swp"}
# Where the system can, a folder is passed through as by its path: without the right to list it.
_FOLDER_ON_THE_WAY = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
_MAX_NAMES = 3  # files of a kind that a sentence names


def is_junk(name: str) -> bool:
    """Whether operating systems make a file or folder of that name (one component of a path) by themselves."""
    return name.casefold() in _JUNK or name.startswith("._")


def is_hidden(name: str) -> bool:
    """Whether a file or folder of that name (one component of a path) is hidden, or junk of an operating system."""
    return name.startswith(".") or is_junk(name)


def is_unfinished(name: str) -> bool:
    """Whether a program that writes or sends a file says by its name that it is not done yet."""
    return PurePath(name).suffix.lower() in _UNFINISHED or name.endswith("~")


def is_image(name: str, head: bytes) -> bool:
    """Whether a file is to be looked at as an image, by its first `SNIFFED_BYTES` or else by what its name claims."""
    return format_of(head) is not None or format_in_name(name) is not None


def is_inside(path: Path, root: Path) -> bool:
    """Whether a path, links followed, stays within the folder. A link that leads nowhere or in a circle does not."""
    try:
        return path.resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError, ValueError):
        return False


def open_below(root: Path, below: PurePath, flags: int = 0) -> int:
    """A descriptor of what lies at a path below a folder, to be read; no link in the path is followed.

    Each name on the way is opened in the folder that was opened before it. So whoever swaps a folder for a link after
    the path was looked at gets an `OSError`, not a file from elsewhere.
    """
    *folders, name = below.parts or (".",)
    folder = os.open(root, _FOLDER_ON_THE_WAY)
    try:
        for one in folders:
            inner = os.open(one, _FOLDER_ON_THE_WAY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        # Not blocking: a pipe without a writer would be waited for.
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | flags, dir_fd=folder)
    finally:
        os.close(folder)


def read_head(path: Path) -> bytes:
    """The first bytes of a regular file. Raises OSError; a pipe or a device has none."""
    descriptor = os.open(
        path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    )  # a pipe without a writer would be waited for
    with os.fdopen(descriptor, "rb") as file:
        return file.read(SNIFFED_BYTES) if path.is_file() else b""


@dataclass
class SkippedFiles:
    """What a reader did not take, and what it is not sure of, in sentences for people."""

    counts: Counter[str] = field(default_factory=Counter)
    names: dict[str, list[str]] = field(default_factory=dict)
    unsure_names: list[str] = field(default_factory=list)

    def add(self, path: str, reason: str) -> None:
        if any(map(is_junk, PurePath(path).parts)):
            return
        self.counts[reason] += 1
        listed = self.names.setdefault(reason, [])
        if len(listed) < _MAX_NAMES:
            listed.append(path)

    def sentences(self) -> tuple[str, ...]:
        return (*map(self._sentence, self.counts), *self._about_names())

    def _sentence(self, reason: str) -> str:
        count, listed = self.counts[reason], ", ".join(printable(name) for name in self.names[reason])
        more = ", ..." if count > len(self.names[reason]) else ""
        return f"Left out, {reason}: {count} {'file' if count == 1 else 'files'} ({listed}{more})."

    def _about_names(self) -> Iterator[str]:
        if self.unsure_names:
            count, first = len(self.unsure_names), self.unsure_names[0]
            yield (
                f"{count} {'name' if count == 1 else 'names'} in the archive may be misread: the archive does not say "
                f"how {'it is' if count == 1 else 'they are'} encoded (the first is kept as {first!r}). Where that is "
                "wrong, pack the files again with names in UTF-8."
            )


def printable(text: str) -> str:
    """A path as it can be stored and printed: bytes that are no UTF-8 are spelt out."""
    return text.encode("utf-8", "backslashreplace").decode()


def walk(descriptor: int, skipped: SkippedFiles) -> Iterator[str]:
    """Paths below an open folder of the files that are not hidden, folder by folder, in order of their names.

    A folder that is swapped for a link meanwhile is not entered.

    Raises:
        OSError: a folder in it cannot be listed.
        RecursionError: it is more than `MAX_DEPTH` folders deep.
    """

    def stop(error: OSError) -> None:
        raise error

    for where, folders, names, opened in os.fwalk(".", onerror=stop, dir_fd=descriptor):
        below = PurePath(where)
        for name in [*folders, *names]:
            if is_hidden(name):
                skipped.add(str(below / name), HIDDEN)
        subfolders = []
        for name in sorted(name for name in folders if not is_hidden(name)):
            if _is_link(name, opened):
                skipped.add(str(below / name), FOLDER_LINK)
            else:
                subfolders.append(name)
        folders[:] = subfolders
        if subfolders and len(below.parts) >= MAX_DEPTH:
            raise RecursionError(f"folders more than {MAX_DEPTH} deep")
        yield from (str(below / name) for name in sorted(names) if not is_hidden(name))


def _is_link(name: str, folder: int) -> bool:
    return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
