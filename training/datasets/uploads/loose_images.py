"""Pictures as they lie in a folder of somebody's computer, laid out so that they can be read as a data set."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from django.core.files.uploadedfile import UploadedFile

from common.errors import UserError
from records.assets.file_tree import MAX_DEPTH, is_hidden, is_junk
from records.assets.images import clean_name
from training.datasets.layouts.labels import Reading, reading_of

_SPLITS = ("train", "test", "images")  # say nothing of good and defective


def lay_out(files: Sequence[UploadedFile], *, paths: str, into: Path, name: str) -> tuple[Path, str, list[str]]:
    """Write the files below a folder: those of one folder of good parts as training images, others as they lay.

    Args:
        paths: of the files, in their order, as a JSON list; empty where only their names are known. They are believed
            for names and words only.
        into: an empty folder.
        name: of the data set; empty: that of their folder.

    Returns:
        The data set's folder, the name of the folder that they came from (empty: none), and what was noticed.

    Raises:
        UserError: no files, or no name.
    """
    if not files:
        raise UserError("Choose images or a folder first. Nothing was imported.", code="no_images")
    places = _places(files, paths)
    outermost = {place.parts[0] for place in places if len(place.parts) > 1}
    own_folder = outermost.pop() if len(outermost) == 1 and all(len(place.parts) > 1 for place in places) else ""
    if not (name or own_folder):
        raise UserError("Give the data set a name. Nothing was imported.", code="name_missing")
    root = into / (own_folder or "images")
    inner = [PurePosixPath(*place.parts[1:]) if own_folder else place for place in places]
    all_good = all(_says_good(place) for place in inner)
    left_out: Counter[str] = Counter()
    names = _Names()
    for file, place in zip(files, inner, strict=True):
        if any(is_junk(part) or is_hidden(part) for part in place.parts):
            left_out["hidden"] += 1
            continue
        target = names.free(root / "train" / "good" / place.name if all_good else root / place)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as out:
                for chunk in file.chunks():
                    out.write(chunk)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):  # a file is called as a folder is
            left_out["called as a folder is"] += 1
    return root, own_folder, [f"{count} files are {why} and were left out." for why, count in left_out.items()]


def _says_good(place: PurePosixPath) -> bool:
    return all(
        folder.casefold() in _SPLITS or reading_of(folder, has_masks=False) is Reading.GOOD
        for folder in place.parts[:-1]
    ) and not any(folder.casefold() == "test" for folder in place.parts[:-1])


def _places(files: Sequence[UploadedFile], paths: str) -> list[PurePosixPath]:
    """Where each file lay, as its browser says."""
    try:
        names = json.loads(paths) if paths else []
    except (ValueError, RecursionError):
        names = []
    if not isinstance(names, list) or len(names) != len(files) or not all(isinstance(one, str) for one in names):
        names = [file.name or "" for file in files]
    return [_place(name) for name in names]


def _place(name: str) -> PurePosixPath:
    parts = [clean_name(part) for part in name.replace("\\", "/").split("/") if part] or ["unnamed"]
    return PurePosixPath(*(part.encode()[:200].decode(errors="ignore") for part in parts[-MAX_DEPTH:]))


class _Names:
    """Names for files of one name: `a.png`, `a-2.png`, ..."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    def free(self, path: Path) -> Path:
        while True:
            self._taken[str(path)] += 1
            number = self._taken[str(path)]
            free = path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
            if number == 1 or not self._taken[str(free)]:
                self._taken[str(free)] += number > 1
                return free
