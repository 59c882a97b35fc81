"""What happens to an upload from a page: kept aside, read, imported or dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.core.files.uploadedfile import UploadedFile

from common.rights import Right, require
from records.assets.images import clean_name
from training.datasets.imports import ImportResult, import_scans, scan_folder, unpack_upload
from training.datasets.layouts.entries import LabelNames
from training.datasets.layouts.preview import preview_document
from training.datasets.services import slug_of
from training.datasets.uploads.loose_images import lay_out
from training.datasets.uploads.pending import PendingUpload, Reading, keep, place_for_upload


def receive_archive(*, file: UploadedFile, reading: Reading, actor: Any) -> PendingUpload:
    """Unpack an archive where it waits.

    Raises `Forbidden`, and `UserError` for what is no archive or breaks its rules.
    """
    require(actor, Right.TRAIN)  # before it is unpacked
    _check_name(reading)
    with place_for_upload(actor.pk) as (token, folder):
        root, notes = unpack_upload(file, folder / "files")
        source = clean_name(file.name or "")
        return keep(token=token, folder=folder, root=root, source=source, notes=notes, reading=reading)


def receive_images(*, files: Sequence[UploadedFile], paths: str, reading: Reading, actor: Any) -> PendingUpload:
    """Put pictures where they wait. Raises `Forbidden`, and `UserError` where there are none, or no name for them."""
    require(actor, Right.TRAIN)
    _check_name(reading)
    with place_for_upload(actor.pk) as (token, folder):
        root, own_folder, notes = lay_out(files, paths=paths, into=folder / "files", name=reading.name)
        source = own_folder or f"{len(files)} file{'' if len(files) == 1 else 's'} from the page"
        return keep(token=token, folder=folder, root=root, source=source, notes=tuple(notes), reading=reading)


def read_upload(upload: PendingUpload) -> list[dict[str, Any]]:
    """What the files would become: looked at once for each way of reading them, nothing is imported.

    Raises `UserError` as `import_path` does.
    """
    with upload.reading_alone():
        previews = upload.preview()
        if previews is None:
            scans = scan_folder(upload.root, upload.source, **_arguments(upload), progress=upload.count_images())
            previews = preview_document(scans)
            upload.keep_preview(previews)
        return previews


def import_upload(upload: PendingUpload, *, actor: Any) -> list[ImportResult]:
    """Make data sets of the files, as they were last previewed, and remove them.

    Raises `Forbidden`, and `UserError` as `import_path` does; the files wait on then.
    """
    require(actor, Right.TRAIN)
    with upload.taken() as root:
        scans = scan_folder(root, upload.source, **_arguments(upload), progress=None)
        return import_scans(scans, upload.source, actor, upload.reading.name)


def read_differently(upload: PendingUpload, reading: Reading) -> PendingUpload:
    """Raises `UserError` for a name that no data set can have; the way it was read stays then."""
    _check_name(reading)
    upload.read_differently(reading)
    return replace(upload, reading=reading)


def _arguments(upload: PendingUpload) -> dict[str, Any]:
    reading = upload.reading
    return {
        "name": reading.name,
        "labels": LabelNames(reading.good, reading.defect),
        "layout": reading.layout,
        "keep_duplicates": reading.keep_duplicates,
        "notes": upload.notes,
    }


def _check_name(reading: Reading) -> None:
    if reading.name:
        slug_of(reading.name)
