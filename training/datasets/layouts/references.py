"""Which file is meant by a path that a table or an annotation holds: relative, absolute, of another machine, an URL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from urllib.parse import unquote

from training.datasets.layouts.tree import FileTree, TreeFile, folded


class FileIndex:
    """Files by the ends of their paths, compared without case and in one form of Unicode."""

    def __init__(self, tree: FileTree, files: Iterable[TreeFile]) -> None:
        self.files = tuple(files)
        self._by_name: dict[str, list[tuple[tuple[str, ...], TreeFile]]] = defaultdict(list)
        self._by_stem: dict[str, list[tuple[tuple[str, ...], TreeFile]]] = defaultdict(list)
        for file in self.files:
            parts = tuple(folded(part) for part in tree.relative(file))
            self._by_name[parts[-1]].append((parts, file))
            self._by_stem[file.folded_stem].append((parts, file))

    def find(self, reference: str, *, beside: tuple[str, ...] = ()) -> TreeFile | None:
        """The file that shares the most folders with the reference; None where there is none, or more than one.

        Args:
            reference: a path, or an URL such as `s3://bucket/folder/image.jpg`.
            beside: folders of the file that holds the reference, which is read relative to them first.
        """
        parts = _parts(reference)
        if not parts:
            return None
        candidates = self._by_name.get(parts[-1]) or self._by_stem.get(parts[-1], [])
        around = tuple(folded(part) for part in beside)
        for whole in ((*around, *parts), parts):
            ranked = sorted(((_shared(whole, path), file) for path, file in candidates), key=lambda item: -item[0])
            if ranked and (len(ranked) == 1 or ranked[0][0] > ranked[1][0]):
                return ranked[0][1]
        return None


def _parts(reference: str) -> tuple[str, ...]:
    path = unquote(reference) if "://" in reference else reference
    return tuple(folded(part) for part in path.strip().replace("\\", "/").split("/") if part not in ("", "."))


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """How many components two paths have in common at their ends."""
    count = 0
    for left, right in zip(reversed(one), reversed(other), strict=False):
        if left != right:
            break
        count += 1
    return count
