"""Gathering the images of a batch: files, a zip, a data set, a folder of the server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from PIL import Image

from common.errors import UserError
from common.pixels.sixteen_bit import Window
from common.rights import Right, require
from inspection.batches import folders
from modelzoo.loading import scoring
from records.assets.file_tree import SkippedFiles
from records.assets.images import ImageFacts, ImageRejected, check_image, clean_name
from records.assets.selectors import upload_limits
from records.assets.services import report_refusal, store_image
from records.audit.services import Actor
from records.models import Asset
from training.datasets.layouts.archives import ArchiveLimits, iter_images
from training.datasets.selectors import images_of, latest_dataset

T = TypeVar("T")
_MAX_PATH_LENGTH = 1000  # characters, of a file within its folder
_MAX_DECODED_AT_ONCE = 4  # decoded at once, at most, whatever their size


# ---------------------------------------------------------------- asking for one
@dataclass(frozen=True)
class BatchItem:
    """One image of a batch to be: kept already (`asset`), still to be read, or refused (`refusal`)."""

    filename: str
    asset: Asset | None = None
    path: str = ""  # in its archive or folder; what has no asset yet is read from there
    refusal: UserError | None = None


def receive_items(
    *, files: Iterable[tuple[str, bytes]], actor: Actor, window: Window | None = None, in_archive: bool = False
) -> list[BatchItem]:
    """Gate and keep the files of a batch. A refused file becomes a failed item; it does not stop the others.

    `window`: of the model that shall judge them, see `upload_limits`.
    `in_archive`: the names are paths within an archive, and are kept as such beside the names.
    """
    items = []
    for (name, data), checked in validate_images(partial(validate_image, window=window), files):
        path = _clean_path(name) if in_archive else ""
        if isinstance(checked, ImageRejected):
            report_refusal(filename=name, size=len(data), refusal=checked, actor=actor)
            items.append(BatchItem(filename=clean_name(name), path=path, refusal=checked))
        elif isinstance(checked, Exception):
            raise checked
        else:
            asset = store_image(data=data, facts=checked.facts)
            items.append(BatchItem(filename=checked.facts.clean_name, path=path, asset=asset))
    return items


def _clean_path(path: str) -> str:
    """A path within an archive as it is kept: nothing of it is opened by that name again."""
    return "".join(character for character in path if character.isprintable())[:_MAX_PATH_LENGTH]


def items_in(folder: Path) -> tuple[list[BatchItem], SkippedFiles]:
    """The images of a folder, not read yet, and what was left out; see `inspection.batches.folders`."""
    listing = folders.images_in(folder)
    return [_item_at(path) for path in listing.images], listing.left_out


def _item_at(path: str) -> BatchItem:
    if path.isprintable() and len(path) <= _MAX_PATH_LENGTH:
        return BatchItem(filename=clean_name(path), path=path)
    refusal = folders.FileUnreadable(
        f"The path of the file cannot be stored: more than {_MAX_PATH_LENGTH} characters, or some that are not "
        "printable."
    )
    return BatchItem(filename=clean_name(path), refusal=refusal)


@dataclass(frozen=True)
class ValidatedImage:
    """An image that passed upload validation: its bytes, what is known of it, and its pixels."""

    data: bytes
    facts: ImageFacts
    pixels: Image.Image


def validate_image(file: tuple[str, bytes], *, window: Window | None = None) -> ValidatedImage:
    name, data = file
    facts, pixels = check_image(data, name, upload_limits(window=window))
    return ValidatedImage(data, facts, pixels)


def validate_images(
    look: Callable[[T], ValidatedImage], files: Iterable[T]
) -> Iterator[tuple[T, ValidatedImage | Exception]]:
    """Each file and what upload validation says, decoded by as many threads as there are cores, a few at a time."""

    def outcome(file: T) -> ValidatedImage | Exception:
        try:
            return look(file)
        except Exception as error:  # noqa: BLE001 - it is this file's and stops no other
            return error

    waiting = iter(files)
    while together := list(islice(waiting, _MAX_DECODED_AT_ONCE)):
        yield from zip(together, scoring.in_threads(outcome, together), strict=True)


@dataclass(frozen=True)
class Gathered:
    """What a batch is to be made of, by one of the ways that images come in."""

    name: str
    items: list[BatchItem]
    folder: Path | None = None
    warnings: tuple[str, ...] = ()  # what was left out, and what may be misread, in sentences


def gather(
    *,
    files: Sequence[UploadedFile] = (),
    archive: UploadedFile | None = None,
    dataset: str = "",
    folder: str = "",
    actor: Actor,
    window: Window | None = None,
) -> Gathered:
    """The images of exactly one of: files, a zip, the test split of a data set, a folder of the server.

    `window`: of the model that shall judge them.
    """
    require(actor, Right.INSPECT)
    if len([way for way in (files, archive, dataset, folder) if way]) != 1:
        raise UserError(
            "Send exactly one of: images (files), archive (a zip), dataset (a name), folder (of the server).",
            code="invalid",
        )
    if dataset:
        named = latest_dataset(dataset)
        items = [
            BatchItem(filename=image.path, path=image.path, asset=image.asset) for image in images_of(named, "test")
        ]
        return Gathered(f"{named} test", items)
    if folder:
        path_of_folder = folders.find_folder(folder)
        items, left_out = items_in(path_of_folder)
        return _with_images(Gathered(folder, items, path_of_folder, left_out.sentences()))
    if archive:
        limits = ArchiveLimits(max_files=settings.BATCH_MAX_ZIP_FILES, max_total_bytes=settings.BATCH_MAX_BYTES)
        # Read once before anything of it is kept: damage may be in its last file. Decoding takes ten times as long.
        for _ in iter_images(cast(BinaryIO, archive), limits):
            pass
        left_out = SkippedFiles()
        images = iter_images(cast(BinaryIO, archive), limits, left_out)
        items = receive_items(files=images, actor=actor, window=window, in_archive=True)
        return _with_images(Gathered(str(archive.name), items, warnings=left_out.sentences()))
    if len(files) > settings.BATCH_MAX_FILES:
        raise UserError(
            f"{len(files)} files are too many for one request (at most {settings.BATCH_MAX_FILES}). Send a zip.",
            code="too_many_files",
            status=ImageRejected.TOO_LARGE,
        )
    # Upload validation refuses one byte too many.
    read = ((file.name or "", file.read(settings.MAX_FILE_SIZE + 1)) for file in files)
    items = receive_items(files=read, actor=actor, window=window)
    return Gathered(f"{len(files)} file{'s' if len(files) > 1 else ''}", items)


def _with_images(gathered: Gathered) -> Gathered:
    """Raises `UserError` that says what there was instead."""
    if not gathered.items and gathered.warnings:
        raise UserError(
            f"There is no image in {gathered.name[:200]}. {' '.join(gathered.warnings)} Nothing was kept.",
            code="empty_batch",
        )
    return gathered
