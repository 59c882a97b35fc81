"""From a path (folder, zip, tar) to data set snapshots: what `import_dataset`, `train` and uploads share."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path

from django.conf import settings
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile

from common.errors import UserError
from common.names import MAX_BYTES
from common.rights import Right, require
from records.assets.file_tree import SkippedFiles
from records.assets.images import clean_name
from records.assets.selectors import dataset_limits
from records.audit.services import Actor
from training.datasets.layouts.archives import ArchiveLimits, extract, is_archive
from training.datasets.layouts.entries import CategoryScan, LabelNames
from training.datasets.layouts.scan import ScanProgress, scan
from training.datasets.selectors import latest_dataset
from training.datasets.services import import_scan, slug_of
from training.models import Dataset

_FILES_FOR_EACH_IMAGE = 10  # of an archive that was sent, at most, for as many images as a page imports
_PACKED = re.compile(r"(\.tar)?\.(zip|tar|t?gz|t?xz)$", re.IGNORECASE)


@dataclass(frozen=True)
class ImportResult:
    """A snapshot, whether it is new, and what the scan saw."""

    dataset: Dataset
    created: bool
    scan: CategoryScan


def import_path(
    path: Path,
    *,
    actor: Actor,
    name: str = "",
    progress: ScanProgress | None = None,
    labels: LabelNames | None = None,
    layout: str = "",
    keep_duplicates: bool = False,
    seen: Callable[[list[CategoryScan]], None] | None = None,
) -> list[ImportResult]:
    """Import every category found at a path. A category that was imported before, unchanged, stays as it is.

    Args:
        labels: folders that somebody said are of good or of defective parts.
        layout: by which rules the folder is read; empty: those that it is recognised by.
        keep_duplicates: also test images that are training images, or that are called both good and defective.
        seen: called with what was understood, before anything of it is kept.

    Raises:
        UserError: rejected layout, label, archive or name; what was imported before the error stays.
    """
    with _scans_of_path(path, name, progress, labels, layout, keep_duplicates) as scans:
        if seen:
            seen(scans)
        return import_scans(scans, str(path.resolve()), actor, name)


def preview_path(
    path: Path,
    *,
    name: str = "",
    progress: ScanProgress | None = None,
    labels: LabelNames | None = None,
    layout: str = "",
    keep_duplicates: bool = False,
) -> list[CategoryScan]:
    """What `import_path` would import; nothing is kept. Raises as that does."""
    with _scans_of_path(path, name, progress, labels, layout, keep_duplicates) as scans:
        return scans


def import_upload(
    file: UploadedFile,
    *,
    actor: Actor,
    name: str = "",
    labels: LabelNames | None = None,
    layout: str = "",
    keep_duplicates: bool = False,
) -> list[ImportResult]:
    """As `import_path`, of an archive that was sent.

    Raises `Forbidden`, and `UserError` as that does; what is no archive is one, too.
    """
    with _scans_of_upload(file, actor, name, labels, layout, keep_duplicates) as scans:
        return import_scans(scans, clean_name(file.name or ""), actor, name)


def preview_upload(
    file: UploadedFile,
    *,
    actor: Actor,
    name: str = "",
    labels: LabelNames | None = None,
    layout: str = "",
    keep_duplicates: bool = False,
) -> list[CategoryScan]:
    """What `import_upload` would import; nothing is kept. Raises as that does."""
    with _scans_of_upload(file, actor, name, labels, layout, keep_duplicates) as scans:
        return scans


@contextmanager
def _scans_of_path(
    path: Path,
    name: str,
    progress: ScanProgress | None,
    labels: LabelNames | None,
    layout: str,
    keep_duplicates: bool,
) -> Iterator[list[CategoryScan]]:
    """The categories at a path; the files of an archive go away with the context."""
    if not path.exists():
        raise UserError(f"There is no file or folder {path}.", code="not_found")
    if is_archive(path):
        with _temporary_folder() as folder:
            left_out = SkippedFiles()
            root = extract(path, folder / _stem(path.name), ArchiveLimits(), left_out)
            notes = left_out.sentences()
            yield scan_folder(root, path.name, name, progress, labels, layout, keep_duplicates, notes)
    elif path.is_dir():
        yield scan_folder(path, str(path), name, progress, labels, layout, keep_duplicates)
    else:
        raise UserError(
            f"{path} is neither a folder nor a .zip, .tar, .tar.gz or .tar.xz archive.", code="not_a_dataset"
        )


@contextmanager
def _scans_of_upload(
    file: UploadedFile, actor: Actor, name: str, labels: LabelNames | None, layout: str, keep_duplicates: bool
) -> Iterator[list[CategoryScan]]:
    require(actor, Right.TRAIN)  # before it is unpacked
    sent = clean_name(file.name or "")
    with _temporary_folder() as folder:
        root, notes = unpack_upload(file, folder / "sent")
        yield scan_folder(root, sent, name, None, labels, layout, keep_duplicates, notes)


def unpack_upload(file: UploadedFile, into: Path) -> tuple[Path, tuple[str, ...]]:
    """The files of an archive that was sent, below a new folder, and what was noticed of them.

    Raises `UserError` for what is no archive, or breaks its rules.
    """
    into.mkdir(parents=True)
    archive = _upload_path(file, into / "upload")
    left_out = SkippedFiles()
    # Each file takes the disk a moment, however small it is; what has more is imported at the command line.
    limits = ArchiveLimits(max_files=_FILES_FOR_EACH_IMAGE * settings.DATASET_MAX_FILES)
    root = extract(archive, into / "unpacked" / _stem(clean_name(file.name or "")), limits, left_out)
    (into / "upload").unlink(missing_ok=True)
    return root, tuple(left_out.sentences())


def _upload_path(file: UploadedFile, path: Path) -> Path:
    """Where Django has put a large upload already, else `path`, to which a small one is written."""
    if isinstance(file, TemporaryUploadedFile):
        return Path(file.temporary_file_path())
    with path.open("wb") as out:
        for chunk in file.chunks():
            out.write(chunk)
    return path


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """Beside the state, not in /tmp: that may be small, and the files are moved on to the same disk."""
    settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.VAR_DIR, prefix="import-") as folder:
        yield Path(folder)


def find_dataset(reference: str) -> Dataset:
    """The newest snapshot of that name; a path is imported first.

    Raises `UserError` when there is neither, or when a path has several categories.
    """
    path = Path(reference)
    if not path.exists() and ("/" in reference or path.suffix):
        raise UserError(f"There is nothing at {reference}.")
    if not path.exists() or Dataset.objects.filter(name=reference).exists():
        return latest_dataset(reference)
    imported = import_path(path, actor=None)
    if len(imported) > 1:
        names = ", ".join(item.dataset.name for item in imported)
        raise UserError(f"{reference} has several categories ({names}). They are imported; name one of them.")
    return imported[0].dataset


def _stem(filename: str) -> str:
    """What the folder of an archive is called, and so its data set: as the file, without what says how it is packed."""
    stem = _PACKED.sub("", clean_name(filename)).strip(". ") or "archive"
    # What no file system takes is cut, and stays too long to name a data set.
    return stem.encode()[: MAX_BYTES + 10].decode(errors="ignore")


def scan_folder(
    root: Path,
    source: str,
    name: str,
    progress: ScanProgress | None,
    labels: LabelNames | None,
    layout: str,
    keep_duplicates: bool,
    notes: Iterable[str] = (),
) -> list[CategoryScan]:
    """What a folder holds, as `import_scans` takes it; `notes` are warnings of each category.

    Raises `UserError`: rejected layout, label or name.
    """
    notes = tuple(notes)
    scans = [
        replace(item, warnings=(*notes, *item.warnings))
        for item in scan(
            root, dataset_limits(), progress=progress, labels=labels, layout=layout, keep_duplicates=keep_duplicates
        )
    ]
    if name and len(scans) > 1:
        names = ", ".join(item.name for item in scans)
        raise UserError(f"A name fits one category; {source} has {len(scans)}: {names}.", code="several_categories")
    _check_distinct_names([item.name for item in scans])
    return scans


def import_scans(scans: list[CategoryScan], source: str, actor: Actor, name: str) -> list[ImportResult]:
    """A data set of each category; what was imported before an error stays."""
    imported = []
    for item in scans:
        dataset, created = import_scan(scan=item, name=name or item.name, source=source, actor=actor)
        imported.append(ImportResult(dataset, created, item))
    return imported


def _check_distinct_names(names: list[str]) -> None:
    """Raises `UserError` where two folders would become one data set."""
    by_slug: dict[str, str] = {}
    for name in names:
        other = by_slug.setdefault(slug_of(name), name)
        if other != name:
            raise UserError(
                f"The folders {other!r} and {name!r} would both be called {slug_of(name)}. Nothing was imported. "
                "Rename one of them.",
                code="name_taken",
                status=HTTPStatus.UNPROCESSABLE_ENTITY,
            )
