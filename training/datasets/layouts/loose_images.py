"""A data set from images of good parts as they lie in a folder: looked at first, kept only when somebody says so."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from common.errors import UserError
from common.rights import Right, require
from records.assets.file_tree import is_hidden, is_junk
from records.assets.images import clean_name
from records.assets.selectors import dataset_limits
from records.audit.services import Actor
from training.datasets.imports import ImportResult
from training.datasets.layouts.entries import CategoryScan, DatasetRejected
from training.datasets.layouts.labels import Reading, reading_of
from training.datasets.layouts.scan import scan
from training.datasets.services import import_scan, slug_of

_MAX_LISTED = 50  # files that a preview names


@dataclass(frozen=True)
class Preview:
    """What an import would make of the files: nothing of them is kept.

    Attributes:
        name: that the data set would have.
        good: how many images would be in it.
        left_out: (file, why not) of the first files that would not be in it.
        left_out_count: how many these are in all.
        warnings: what is legitimate and yet worth a look.
    """

    name: str
    good: int
    left_out: tuple[tuple[str, str], ...]
    left_out_count: int
    warnings: tuple[str, ...]


def preview_images(files: Sequence[UploadedFile], *, paths: str, name: str, actor: Actor) -> Preview:
    """Look at images of good parts. Raises as `import_images` does."""
    with _scan_files(files, paths, name, actor) as (category, left_out, own_name):
        skipped = [(Path(one.path).name, one.reason) for one in category.skipped]
        together = (*left_out, *skipped)
        return Preview(own_name, len(category.entries), together[:_MAX_LISTED], len(together), category.warnings)


def import_images(files: Sequence[UploadedFile], *, paths: str, name: str, actor: Actor) -> ImportResult:
    """Make a data set of images of good parts; what is no image is left out.

    Args:
        paths: of the files, in their order, as a JSON list; empty where only their names are known.
        name: of the data set; empty: that of their folder.

    Raises:
        Forbidden, and `UserError` (no files, no name, too few images that can be read). Nothing was kept then.
    """
    with _scan_files(files, paths, name, actor) as (category, _, own_name):
        dataset, created = import_scan(scan=category, name=own_name, source="images from the page", actor=actor)
        return ImportResult(dataset, created, category)


@contextmanager
def _scan_files(
    files: Sequence[UploadedFile], paths: str, name: str, actor: Actor
) -> Iterator[tuple[CategoryScan, list[tuple[str, str]], str]]:
    """The files as the training images of a category, in a folder that goes away."""
    require(actor, Right.TRAIN)
    if not files:
        raise UserError("Choose images or a folder first. Nothing was imported.", code="no_images")
    places = _places(files, paths)
    folders = {place.parts[0] for place in places if len(place.parts) > 1}
    name = name or (folders.pop() if len(folders) == 1 else "")
    if not name:
        raise UserError("Give the data set a name. Nothing was imported.", code="name_missing")
    slug_of(name)
    left_out: list[tuple[str, str]] = []
    settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.VAR_DIR, prefix="import-") as folder:
        good = Path(folder) / "images" / "train" / "good"
        good.mkdir(parents=True)
        for file, place in zip(files, places, strict=True):
            if any(map(is_junk, place.parts)):
                continue
            if reason := _not_good(place):
                left_out.append((str(place), reason))
                continue
            with _free_name(good, place.name).open("xb") as out:
                for chunk in file.chunks():
                    out.write(chunk)
        try:
            [category] = scan(good.parent.parent, dataset_limits())
        except DatasetRejected as error:
            raise _of_loose_images(error, len(files)) from error
        yield category, left_out, name


def _places(files: Sequence[UploadedFile], paths: str) -> list[PurePosixPath]:
    """Where each file lay, as its browser says, which is believed for names and words only."""
    try:
        names = json.loads(paths) if paths else []
    except ValueError:
        names = []
    if not isinstance(names, list) or len(names) != len(files) or not all(isinstance(one, str) for one in names):
        names = [file.name or "" for file in files]
    return [PurePosixPath(*([clean_name(part) for part in one.split("/") if part] or ["unnamed"])) for one in names]


def _not_good(place: PurePosixPath) -> str:
    """Why a file is not taken for a good part: it is hidden, or lies in a sub-folder that says something else."""
    if any(is_hidden(part) for part in place.parts[1:] or place.parts):
        return "it is hidden"
    for folder in place.parts[1:-1]:
        if folder not in ("train", "test", "images") and reading_of(folder, has_masks=False) is not Reading.GOOD:
            return (
                f"it is in the sub-folder {folder}, and only good parts are imported here; to import defects too, "
                "send a zip with train/good and test/DEFECT"
            )
    return ""


def _free_name(folder: Path, name: str) -> Path:
    path, number = folder / name, 1
    while path.exists():
        number += 1
        path = folder / f"{Path(name).stem}-{number}{Path(name).suffix}"
    return path


def _of_loose_images(error: DatasetRejected, sent: int) -> UserError:
    """The sentence of a scan, without the folders that nobody but us knows."""
    if error.code in ("no_good_images", "too_few_good_images"):
        detail = f"Fewer than 2 of the {sent} files are readable images; at least 2 are needed."
    else:
        detail = error.detail
    return UserError(f"{detail} Nothing was imported.", code=error.code, status=error.status)
