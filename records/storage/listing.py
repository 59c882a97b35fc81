"""What an object storage says of the files in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from django.core.files.storage import FileSystemStorage, Storage, storages


@dataclass(frozen=True)
class StoredFile:
    """`name` is that which the storage opens it by."""

    name: str
    size_bytes: int
    modified_at: datetime


class SharedStorage(Protocol):
    """`records.storage.s3.ObjectStorage`, which nobody loads who does not use it."""

    def listing(self, prefix: str) -> Iterator[StoredFile]: ...


def is_local(storage: Storage) -> bool:
    """Whether the files of a storage are those of a folder of this machine."""
    return isinstance(storage, FileSystemStorage)


def shared_files(alias: str, prefix: str = "") -> Iterator[StoredFile]:
    """The files of an object storage whose names begin so; nothing where the storage is a folder of this machine."""
    storage = storages[alias]
    if not is_local(storage):
        shared: SharedStorage = storage  # type: ignore[assignment]  # there are two kinds, and this is the other one
        yield from shared.listing(prefix)
