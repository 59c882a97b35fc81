"""Files and folders that no row refers to, left behind by what was killed or by models that are no longer used.

An artifact goes only where no version names it. Versions are never deleted, and records, deployments and rescorings
hold theirs: so whatever a record points to stays.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

from django.conf import settings
from django.core.files.storage import Storage, default_storage, storages
from django.db.models import QuerySet

from modelzoo.loading.artifact_store import artifact_name
from modelzoo.models import Deployment, ModelVersion
from records.models import Asset
from records.storage.listing import StoredFile, shared_files

FOLDERS = 256  # first-level folders of the storage, see records.models.asset_name
_AGE = timedelta(days=1)  # nothing that is still worked on is older
# Folders that imports and demos unpack into, and artifacts that were half-written, by their names.
_UNPACKED = ("import-*", "demo-*")
_PARTIAL_FILES = ".*.partial-*"


@dataclass(frozen=True)
class Leftover:
    path: Path
    size_bytes: int
    changed_at: datetime

    @property
    def name(self) -> str:
        """Below VAR_DIR, where it lies there."""
        with contextlib.suppress(ValueError):
            return str(self.path.relative_to(settings.VAR_DIR))
        return str(self.path)

    def remove(self) -> bool:
        """Remove it, unless somebody used it just now: whoever stores the same bytes again touches the file first.

        It is moved aside for that, so that it is either still there when it is touched, or written anew.
        """
        if self.path.is_dir():
            if _modified_at(self.path) != self.changed_at:
                return False
            shutil.rmtree(self.path, ignore_errors=True)
            return not self.path.exists()
        aside = self.path.with_name(f".gone.{self.path.name}")
        try:
            self.path.rename(aside)
        except FileNotFoundError:
            return False
        if _modified_at(aside) != self.changed_at:
            aside.rename(self.path)
            return False
        aside.unlink()
        return True


@dataclass(frozen=True)
class StoredLeftover:
    """A file in an object storage."""

    storage: Storage
    name: str
    size_bytes: int
    changed_at: datetime

    def remove(self) -> bool:
        """Remove it, unless somebody stored the same bytes again just now, which gives it a new time."""
        with contextlib.suppress(FileNotFoundError):
            if self.storage.get_modified_time(self.name) == self.changed_at:
                self.storage.delete(self.name)
                return True
        return False


AnyLeftover = Leftover | StoredLeftover


def in_var_dir(now: datetime) -> Iterator[Leftover]:
    """What unpacking and training left, and engines that were built for models nobody loads any more."""
    root = Path(settings.VAR_DIR)
    models = Path(settings.MODEL_PATH)
    paths = itertools.chain(
        *(root.glob(pattern) for pattern in _UNPACKED),
        models.rglob(_PARTIAL_FILES),
        _artifacts_of_no_version(models),
        _old_engines(root / "engines"),
    )
    for path in paths:
        if (leftover := _leftover_at(path, now)) is not None:
            yield leftover


def _artifacts_of_no_version(models: Path) -> Iterator[Path]:
    """Whole artifacts that a training or an import wrote before it was killed."""
    named = _names_of_artifacts(ModelVersion.objects.all())
    for manifest in models.glob("*/*/manifest.json"):
        folder = manifest.parent
        if not folder.name.startswith(".") and str(folder.relative_to(models)) not in named:
            yield folder


def _names_of_artifacts(versions: QuerySet[ModelVersion]) -> set[str]:
    """Of their folders: those named by training runs, of earlier releases, may have a copy by their content."""
    names = set()
    for artifact, sha256 in versions.values_list("artifact", "artifact_sha256"):
        names |= {artifact, artifact_name(sha256)}
    return names


def _old_engines(folder: Path) -> Iterator[Path]:
    """They are built again when such a model is loaded after all."""
    served = Deployment.objects.filter(status__in=[Deployment.Status.LOADING, Deployment.Status.ACTIVE])
    versions = ModelVersion.objects.exclude(stage=ModelVersion.Stage.ARCHIVED) | ModelVersion.objects.filter(
        pk__in=served.values("model_version")
    )
    digests = set(versions.values_list("artifact_sha256", flat=True))
    if folder.is_dir():
        yield from (path for path in folder.iterdir() if path.is_dir() and path.name not in digests)


def in_storage(number: int, now: datetime) -> Iterator[AnyLeftover]:
    """Stored files of one first-level folder that no asset and no version names."""
    low, high = f"{number:02x}", f"{number:02x}g"
    digests = set(
        Asset.objects.filter(sha256__gte=low, sha256__lt=high).exclude(file="").values_list("sha256", flat=True)
    )
    try:
        folder = Path(default_storage.path(f"assets/{low}"))
    except NotImplementedError:
        yield from _in_object_storage(low, high, digests, now)
        return
    for path in folder.glob("*/*"):
        if path.stem not in digests and (leftover := _leftover_at(path, now)) is not None:
            yield leftover


def _in_object_storage(low: str, high: str, digests: set[str], now: datetime) -> Iterator[StoredLeftover]:
    versions = ModelVersion.objects.filter(artifact_sha256__gte=low, artifact_sha256__lt=high)
    artifacts = _names_of_artifacts(versions)
    for file in shared_files("default", f"assets/{low}/"):
        if PurePosixPath(file.name).stem not in digests and _is_old(file, now):
            yield StoredLeftover(default_storage, file.name, file.size_bytes, file.modified_at)
    for file in shared_files("artifacts", f"{low}/"):
        if str(PurePosixPath(file.name).parent) not in artifacts and _is_old(file, now):
            yield StoredLeftover(storages["artifacts"], file.name, file.size_bytes, file.modified_at)


def _is_old(file: StoredFile, now: datetime) -> bool:
    return file.modified_at < now - _AGE


def _leftover_at(path: Path, now: datetime) -> Leftover | None:
    with contextlib.suppress(FileNotFoundError):
        changed = _modified_at(path)
        if changed < now - _AGE:
            return Leftover(path, _size(path), changed)
    return None


def _modified_at(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size
    inside = (Path(folder) / name for folder, _, names in os.walk(path) for name in names)
    return sum(file.stat().st_size for file in inside if file.exists())
