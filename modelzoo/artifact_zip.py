"""Reads: a version's artifact as one zip, made while it is sent."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from modelzoo.loading.scoring import ModelUnusable
from modelzoo.models import ModelVersion

MANIFEST = "manifest.json"
_BLOCK = 1024**2


def artifact_files(version: ModelVersion) -> list[Path]:
    """The files of an artifact, the manifest first.

    Raises `ModelUnusable` where the manifest is not the recorded one, or a file has not the size that it names. The
    manifest holds the hashes of the others: whoever takes the artifact can check every byte.
    """
    folder = version.artifact_path
    try:
        text = (folder / MANIFEST).read_bytes()
        if hashlib.sha256(text).hexdigest() != version.artifact_sha256:
            raise _unusable(version, f"{MANIFEST} was changed: its hash is not the one on record.")
        sizes = {name: entry["size_bytes"] for name, entry in json.loads(text)["files"].items()}
        for name, size in sizes.items():
            if (folder / name).stat().st_size != size:
                raise _unusable(version, f"{name} has not the size that it was recorded with.")
    except OSError as error:
        raise _unusable(version, f"it cannot be read ({error.strerror or error}).") from error
    return [folder / MANIFEST, *(folder / name for name in sorted(sizes))]


def _unusable(version: ModelVersion, why: str) -> ModelUnusable:
    return ModelUnusable(f"The artifact of {version} is not sent: {why} Restore it from a backup.")


def zip_chunks(files: list[Path]) -> Iterator[bytes]:
    """A zip of the files, not compressed (weights do not pack), in pieces; the same files are the same bytes."""
    out = _ZipBuffer()
    with ZipFile(out, "w", ZIP_STORED) as archive:
        for path in files:
            entry = ZipInfo(path.name)  # with the year 1980, which is no time of ours
            with path.open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                while block := source.read(_BLOCK):
                    target.write(block)
                    yield out.take()
    yield out.take()


class _ZipBuffer(io.RawIOBase):
    """What is written can be taken away; there is no way back, so the zip is written forwards only."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._buffer += data
        return len(data)

    def take(self) -> bytes:
        data = bytes(self._buffer)
        self._buffer.clear()
        return data
