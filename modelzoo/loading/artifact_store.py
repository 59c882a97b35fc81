"""Artifacts by their content: in the storage that all machines share, and as folders under MODEL_PATH of this one.

An artifact is `AA/SHA256/FILE`, AA being the first two digits. Where files are kept on this machine, storage and folder
are the same files. Where they are kept in an object storage, the folder is a cache: a machine that lacks it fetches it,
whole and verified, or not at all. Versions of before 0.2 lie in folders named by their training run.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.files import File
from django.core.files.storage import Storage, storages
from django.db import DatabaseError

from common.errors import UserError
from common.files import sync_folder, write_folder
from modelzoo.loading.artifact_check import MANIFEST, ArtifactFault, check_folder
from modelzoo.models import ModelVersion
from records.storage.listing import is_local

log = logging.getLogger(__name__)


def artifact_name(artifact_sha256: str) -> str:
    """The name of an artifact's folder, in the storage and below MODEL_PATH."""
    return f"{artifact_sha256[:2]}/{artifact_sha256}"


@contextmanager
def stored_artifact(folder: Path, artifact_sha256: str) -> Iterator[str]:
    """Store a whole artifact from a folder on this machine, which is gone afterwards; the name of the stored one.

    Where the block, which registers the version, is left with an error, the artifact goes again. Raises
    `StorageUnavailable`, or `OSError` where the disk refuses.
    """
    try:
        yield _store(folder, artifact_sha256)
    except BaseException:
        try:
            _discard(artifact_sha256)
        except (UserError, OSError, DatabaseError):  # retention clears it away: `retention.leftovers`
            log.exception("The artifact %s, which no version came of, could not be removed.", artifact_sha256)
        raise


def _store(folder: Path, artifact_sha256: str) -> str:
    name = artifact_name(artifact_sha256)
    place = Path(settings.MODEL_PATH) / name
    place.parent.mkdir(parents=True, exist_ok=True)
    if _is_whole(place, artifact_sha256):  # left by whoever was killed before the version was registered
        os.utime(place)  # nobody clears it away meanwhile (`retention.leftovers`)
        shutil.rmtree(folder, ignore_errors=True)
    else:
        shutil.rmtree(place, ignore_errors=True)
        folder.rename(place)
        sync_folder(place.parent)
    storage = _storage()
    if not is_local(storage):
        # The manifest last: where it is, all of it is.
        for path in sorted(place.iterdir(), key=lambda path: path.name == MANIFEST):
            with path.open("rb") as file:
                storage.save(f"{name}/{path.name}", File(file))
    return name


def _is_whole(folder: Path, artifact_sha256: str) -> bool:
    try:
        check_folder(folder, artifact_sha256)
    except ArtifactFault:
        return False
    return True


def _discard(artifact_sha256: str) -> None:
    if ModelVersion.objects.filter(artifact_sha256=artifact_sha256).exists():
        return
    name = artifact_name(artifact_sha256)
    place, storage = Path(settings.MODEL_PATH) / name, _storage()
    if not is_local(storage):
        for path in place.glob("*"):
            storage.delete(f"{name}/{path.name}")
    shutil.rmtree(place, ignore_errors=True)


def local_folder(version: ModelVersion) -> Path:
    """The folder of a version's artifact on this machine, fetched from the storage where it is not here yet.

    What is here is as it lies there: whoever loads it verifies it. Raises `ArtifactFault` where what was fetched is not
    the artifact on record (nothing is kept), `StorageUnavailable` and `OSError`.
    """
    root = Path(settings.MODEL_PATH)
    places = [root / artifact_name(version.artifact_sha256), version.artifact_path]
    for place in places:
        if (place / MANIFEST).exists():
            return place
    storage = _storage()
    return version.artifact_path if is_local(storage) else _fetch(version, storage, places[0])


def check_artifact(version: ModelVersion) -> list[Path]:
    """Read every byte and compare it with what was recorded at training; the files, the manifest first.

    Raises `ArtifactFault`, and `StorageUnavailable` where it would have to be fetched.
    """
    return check_folder(local_folder(version), version.artifact_sha256)


def _fetch(version: ModelVersion, storage: Storage, place: Path) -> Path:
    """Into a hidden folder, verified there and renamed; whoever is second at the same time throws theirs away."""
    if place.exists() and not (place / MANIFEST).exists():  # somebody was killed while deleting it
        shutil.rmtree(place)
    try:
        with write_folder(place) as folder:
            _download(version, storage, folder)
            check_folder(folder, version.artifact_sha256)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
    return place


def _download(version: ModelVersion, storage: Storage, folder: Path) -> None:
    name, text = _read_manifest(version, storage)
    (folder / MANIFEST).write_bytes(text)
    if hashlib.sha256(text).hexdigest() != version.artifact_sha256:
        raise ArtifactFault(f"{MANIFEST} in the storage is not the one on record: its hash differs. Nothing was kept.")
    for file in json.loads(text)["files"]:
        if file != Path(file).name:
            raise ArtifactFault(f"{MANIFEST} names a file outside of its folder.")
        try:
            with storage.open(f"{name}/{file}") as source, (folder / file).open("wb") as target:
                shutil.copyfileobj(source, target)
        except FileNotFoundError as error:
            raise ArtifactFault(f"{file} is missing in the storage.") from error


def _read_manifest(version: ModelVersion, storage: Storage) -> tuple[str, bytes]:
    """Under which name the artifact is stored, and its manifest."""
    for name in (artifact_name(version.artifact_sha256), version.artifact):
        try:
            with storage.open(f"{name}/{MANIFEST}") as file:
                return name, bytes(file.read())
        except FileNotFoundError:
            continue
    raise ArtifactFault(f"{MANIFEST} is neither on this machine nor in the storage.")


def _storage() -> Storage:
    return storages["artifacts"]
