"""A trained detector on disk: a folder with `manifest.json` and `model.safetensors`, complete or not there at all.

The manifest holds the hash of the tensors, and the hash of the manifest names the artifact: whoever stores that one
hash notices any change to any byte.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from common.files import write_folder
from modelzoo.detectors.base import Detector, resolve_device
from modelzoo.detectors.errors import ArtifactError, DetectorError
from modelzoo.detectors.registry import detector_class

FORMAT = "visual-anomaly-detector"
FORMAT_VERSION = 2
MANIFEST = "manifest.json"
TENSORS = "model.safetensors"
LIBRARIES = ("numpy", "pillow", "safetensors")


@dataclass(frozen=True)
class ArtifactInfo:
    """A stored artifact.

    Attributes:
        path: its folder.
        sha256: hash of the manifest's bytes, which contain the hash of the tensors.
        size_bytes: of both files together.
        manifest: the manifest's content.
    """

    path: Path
    sha256: str
    size_bytes: int
    manifest: dict[str, Any]


def save(detector: Detector, directory: Path, metadata: Mapping[str, Any]) -> ArtifactInfo:
    """Write a fitted detector to a new folder.

    It is written beside the folder, synced to the disk and renamed; whatever interrupts that leaves nothing behind.

    Args:
        detector: fitted.
        directory: must not exist; its parents are created.
        metadata: the caller's own, JSON-safe: data snapshot, training run, ...

    Raises:
        ArtifactError: when the folder exists, the metadata is not JSON, or the disk refuses.
        DetectorError: when the detector is not fitted.
    """
    state = detector.state()
    if directory.exists():
        raise ArtifactError(f"The artifact {directory.name} exists already; artifacts are never overwritten.")
    tensors = safetensors.torch.save(state)
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "algorithm": detector.algorithm,
        "detector": detector.describe(),
        "tensors": {name: _shape_of(tensor) for name, tensor in sorted(state.items())},
        "files": {TENSORS: {"sha256": hashlib.sha256(tensors).hexdigest(), "size_bytes": len(tensors)}},
        # PyTorch's own version also names the build (cpu, cu130, ...).
        "libraries": {"torch": str(torch.__version__), **{name: version(name) for name in LIBRARIES}},
        "metadata": dict(metadata),
    }
    try:
        text = json.dumps(manifest, indent=2, sort_keys=True, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ArtifactError(f"The artifact's description is not JSON: {error}.") from error
    try:
        with write_folder(directory) as folder:
            (folder / TENSORS).write_bytes(tensors)
            (folder / MANIFEST).write_bytes(text)
    except OSError as error:
        raise ArtifactError(
            f"The artifact {directory.name} could not be written ({error.strerror or error})."
        ) from error
    return ArtifactInfo(directory, hashlib.sha256(text).hexdigest(), len(text) + len(tensors), json.loads(text))


def load(directory: Path, expected_sha256: str | None = None, device: str = "cpu") -> Detector:
    """Read an artifact back; every byte is checked against the hashes before it is used.

    Args:
        directory: an artifact's folder.
        expected_sha256: the hash that `save` returned; None trusts the manifest as it lies there.
        device: auto, cpu or cuda.

    Raises:
        ArtifactError: when a file is missing, changed, truncated, of another version, or does not fit together.
        DetectorError: when the device is not there.
    """
    device = resolve_device(device)
    manifest = read_manifest(directory, expected_sha256)
    try:
        algorithm, entry, tensor_table = manifest["algorithm"], manifest["files"][TENSORS], manifest["tensors"]
        description, expected_hash = manifest["detector"], entry["sha256"]
    except (KeyError, TypeError) as error:
        raise ArtifactError(f"The manifest of {directory.name} lacks an entry: {error}.") from error
    data = _read(directory / TENSORS)
    if hashlib.sha256(data).hexdigest() != expected_hash:
        raise ArtifactError(f"{TENSORS} of {directory.name} was changed or is incomplete: its hash does not match.")
    try:
        state = safetensors.torch.load(data)
    except SafetensorError as error:
        raise ArtifactError(f"{TENSORS} of {directory.name} cannot be read: {error}.") from error
    if {name: _shape_of(tensor) for name, tensor in state.items()} != tensor_table:
        raise ArtifactError(f"The tensors of {directory.name} are not those that its manifest lists.")
    try:
        return detector_class(algorithm).restore(description, state, device)
    except (DetectorError, AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ArtifactError(f"The artifact {directory.name} does not fit together: {error}") from error


def read_manifest(directory: Path, expected_sha256: str | None = None) -> dict[str, Any]:
    """The manifest alone, without the tensors; checked as by `load`."""
    text = _read(directory / MANIFEST)
    if expected_sha256 is not None and hashlib.sha256(text).hexdigest() != expected_sha256:
        raise ArtifactError(f"{MANIFEST} of {directory.name} was changed: its hash is not the one on record.")
    try:
        manifest = json.loads(text)
    except ValueError as error:
        raise ArtifactError(f"{MANIFEST} of {directory.name} is not readable: {error}.") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ArtifactError(f"{directory.name} is not an artifact of this product.")
    if manifest.get("format_version") != FORMAT_VERSION:
        raise ArtifactError(
            f"{directory.name} has format version {manifest.get('format_version')!r}, this release reads "
            f"{FORMAT_VERSION}. Train the model again, or use the release that made it."
        )
    return manifest


def differing_tensors(one: Detector, other: Detector) -> list[str]:
    """Names of those that are not the same in two fitted detectors, bit for bit."""
    mine, theirs = one.state(), other.state()
    both = mine.keys() & theirs.keys()
    return sorted(
        (mine.keys() ^ theirs.keys())
        | {name for name in both if mine[name].dtype != theirs[name].dtype or not torch.equal(mine[name], theirs[name])}
    )


def _shape_of(tensor: torch.Tensor) -> dict[str, Any]:
    return {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"{path.name} of the artifact {path.parent.name} cannot be read ({error.strerror})."
        ) from error
