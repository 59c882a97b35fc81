"""Whether an artifact on the disk is the one on record: every byte of it, without torch."""

from __future__ import annotations

import hashlib
import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from common.errors import UserError

MANIFEST = "manifest.json"
_TENSORS = "model.safetensors"
# As safetensors spells them, and PyTorch.
_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}


class ArtifactFault(UserError):
    """What is wrong, as a sentence that names the file."""

    code = "model_unusable"
    status = HTTPStatus.CONFLICT


def check_folder(folder: Path, artifact_sha256: str) -> list[Path]:
    """The files of an artifact, the manifest first: that by its hash, every other by it, the tensors by its list.

    Raises `ArtifactFault`.
    """
    try:
        text = (folder / MANIFEST).read_bytes()
        if hashlib.sha256(text).hexdigest() != artifact_sha256:
            raise ArtifactFault(f"{MANIFEST} was changed: its hash is not the one on record.")
        manifest = json.loads(text)
        names = sorted(manifest["files"])
        for name in names:
            _check_file(folder, name, manifest["files"][name])
        _check_tensors(folder / _TENSORS, manifest["tensors"])
    except OSError as error:
        name = Path(error.filename).name if error.filename else "a file"
        raise ArtifactFault(f"{name} cannot be read ({error.strerror or error}).") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ArtifactFault(f"{MANIFEST} does not describe a model.") from error
    return [folder / MANIFEST, *(folder / name for name in names)]


def _check_file(folder: Path, name: str, entry: dict[str, Any]) -> None:
    if name != Path(name).name:
        raise ArtifactFault(f"{MANIFEST} names a file outside of its folder.")
    path = folder / name
    if path.stat().st_size != entry["size_bytes"]:
        raise ArtifactFault(f"{name} has not the size that it was recorded with.")
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != entry["sha256"]:
            raise ArtifactFault(f"{name} was changed: its hash is not the one on record.")


def _check_tensors(path: Path, table: dict[str, Any]) -> None:
    """The shapes in the file are those of the manifest: nothing is read into another shape."""
    try:
        with safe_open(path, framework="numpy") as tensors:
            found = {}
            for name in tensors.keys():  # noqa: SIM118 - no mapping
                one = tensors.get_slice(name)
                found[name] = {"shape": list(one.get_shape()), "dtype": _DTYPES.get(one.get_dtype(), one.get_dtype())}
    except SafetensorError as error:
        raise ArtifactFault(f"{path.name} cannot be read ({error}).") from error
    if found != table:
        differing = next(name for name in sorted(found.keys() | table.keys()) if found.get(name) != table.get(name))
        raise ArtifactFault(f"{path.name} does not hold the tensors that {MANIFEST} lists: {differing[:100]} differs.")
