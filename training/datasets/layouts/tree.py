"""The files below a folder, sorted into images, tables and the rest, before any is decoded.

Hidden files and the junk of operating systems are left out; so is what is not complete, what links lead out of the
folder to, and what no record can name. Nothing outside the folder is read.
"""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from records.assets.file_tree import (
    HIDDEN,
    MAX_DEPTH,
    SkippedFiles,
    is_hidden,
    is_image,
    is_inside,
    is_unfinished,
    printable,
    read_head,
)
from training.datasets.layouts.entries import DatasetRejected, SkippedFile

MAX_PATH_LENGTH, MAX_LABEL_LENGTH = 300, 100  # characters that a record keeps
# What says by its name that it is a picture goes to upload validation, which says what is wrong with it.
_PICTURES = {".bmp", ".gif", ".heic", ".jp2", ".tif", ".tiff", ".webp"}
_TABLES = {".csv", ".json", ".jsonl", ".manifest", ".names", ".tsv", ".txt", ".xml", ".yaml", ".yml"}


def folded(name: str) -> str:
    """A name as it is compared: one form of Unicode, without case."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


@dataclass(frozen=True)
class TreeFile:
    """A file. `parts` are the components of its path below the folder that was given, its own name last."""

    absolute_path: Path
    parts: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.parts[-1]

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem

    @property
    def folded_stem(self) -> str:
        return folded(self.stem)

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix.lower()


@dataclass(frozen=True)
class FileTree:
    """What lies below one folder.

    Attributes:
        folder: absolute.
        depth: how many components of the files' `parts` name this folder.
        images: what is to be looked at as an image, by its first bytes or its name.
        tables: text that may say something of the images: CSV, JSON, XML, ...
        other: neither.
        skipped: files that cannot be part of a data set.
        hidden: counts of what is hidden.
    """

    folder: Path
    depth: int
    images: tuple[TreeFile, ...]
    tables: tuple[TreeFile, ...]
    other: tuple[TreeFile, ...]
    skipped: tuple[tuple[TreeFile, str, str], ...]
    hidden: tuple[TreeFile, ...]

    def subtrees(self) -> list[FileTree]:
        """What lies below each folder in this one that holds images."""
        kinds: dict[str, dict[str, list[Any]]] = {}
        for kind in ("images", "tables", "other", "hidden", "skipped"):
            for item in getattr(self, kind):
                parts = self.relative(item[0] if kind == "skipped" else item)
                if len(parts) > 1:
                    kinds.setdefault(parts[0], {}).setdefault(kind, []).append(item)
        return [
            FileTree(
                folder=self.folder / name,
                depth=self.depth + 1,
                images=tuple(kinds[name]["images"]),
                tables=tuple(kinds[name].get("tables", ())),
                other=tuple(kinds[name].get("other", ())),
                skipped=tuple(kinds[name].get("skipped", ())),
                hidden=tuple(kinds[name].get("hidden", ())),
            )
            for name in self.folders
        ]

    def relative(self, file: TreeFile) -> tuple[str, ...]:
        """The components of a file's path below this folder, its own name last."""
        return file.parts[self.depth :]

    def path_of(self, file: TreeFile) -> str:
        """The path as records keep it; bytes that are no UTF-8 are spelt out."""
        return printable("/".join(self.relative(file)))

    @cached_property
    def folders(self) -> tuple[str, ...]:
        """Names of the folders directly below that hold images, or folders with images."""
        return tuple(sorted({parts[0] for file in self.images if len(parts := self.relative(file)) > 1}))

    @cached_property
    def contents(self) -> list[str]:
        """What lies directly in the folder, for people."""
        names = set(self.folders)
        for file in (*self.images, *self.tables, *self.other):
            parts = self.relative(file)
            names.add(parts[0] + "/" if len(parts) > 1 else parts[0])
        return sorted(name for name in names if name.endswith("/") or name not in self.folders)

    def skipped_files(self) -> list[SkippedFile]:
        return [SkippedFile(self.path_of(file), reason, code) for file, code, reason in self.skipped]

    def hidden_sentences(self) -> tuple[str, ...]:
        counts = SkippedFiles()
        for file in self.hidden:
            counts.add(self.path_of(file), HIDDEN)
        return counts.sentences()


@dataclass
class _Walk:
    root: Path
    images: list[TreeFile] = field(default_factory=list)
    tables: list[TreeFile] = field(default_factory=list)
    other: list[TreeFile] = field(default_factory=list)
    skipped: list[tuple[TreeFile, str, str]] = field(default_factory=list)
    hidden: list[TreeFile] = field(default_factory=list)

    def enter(self, folder: Path, parts: tuple[str, ...], above: tuple[Path, ...]) -> None:
        try:
            paths = sorted(folder.iterdir())
        except OSError as error:
            raise DatasetRejected(
                f"The folder {folder} cannot be read ({error.strerror or error}).", code="unreadable_folder"
            ) from error
        for path in paths:
            file = TreeFile(path, (*parts, path.name))
            if is_hidden(path.name):
                self.hidden.append(file)
            elif not is_inside(path, self.root):
                self._skip(file, "outside_folder", "It is a link that leads outside the folder, or nowhere.")
            elif path.is_dir():
                target = path.resolve()
                if len(parts) < MAX_DEPTH and target not in above:
                    self.enter(path, file.parts, (*above, target))
                else:
                    self._skip(file, "not_a_file", "Its folders lie too deep in one another, or in a circle.")
            else:
                self._sort(file)

    def _sort(self, file: TreeFile) -> None:
        if not file.absolute_path.is_file():
            self._skip(file, "not_a_file", "It is not a file.")
        elif is_unfinished(file.name):
            self._skip(file, "unfinished", "By its name it is not complete yet.")
        elif any(part != printable(part) for part in file.parts):
            self._skip(file, "bad_name", "Its name is not valid UTF-8.")
        elif file.suffix in _TABLES and not self._is_image(file):
            self.tables.append(file)
        else:
            (self.images if self._is_image(file) else self.other).append(file)

    def _is_image(self, file: TreeFile) -> bool:
        try:
            head = read_head(file.absolute_path)
        except OSError:
            head = b""  # upload validation says why it cannot be read
        return is_image(file.name, head) or file.suffix in _PICTURES

    def _skip(self, file: TreeFile, code: str, reason: str) -> None:
        self.skipped.append((file, code, reason))


def read_tree(root: Path) -> FileTree:
    """Everything below a folder, by name. Raises `DatasetRejected` (`unreadable_folder`)."""
    if not root.is_dir():
        raise DatasetRejected(
            f"The folder {root} cannot be read ({os.strerror(20 if root.exists() else 2)}).", code="unreadable_folder"
        )
    walk = _Walk(root)
    walk.enter(root, (), (root,))
    return FileTree(
        root,
        0,
        tuple(walk.images),
        tuple(walk.tables),
        tuple(walk.other),
        tuple(walk.skipped),
        tuple(walk.hidden),
    )
