"""The bridge between records and detectors: loads an artifact, keeps it warm, scores image bytes.

torch is imported inside the functions, so that the web server can name this module without paying for it.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from modelzoo.models import ModelVersion
from mvtec_site.errors import UserError
from records.images import open_rgb
from records.selectors import gate_limits

if TYPE_CHECKING:
    from modelzoo.detectors.base import Detector

# A line runs one model; two more cover a change of product. Each holds some 60 to 300 MB.
_MODELS_HELD = 3


class ModelUnusable(UserError):
    """The artifact cannot be loaded: missing, tampered with, or made for something that is not here."""

    code = "model_unusable"
    status = HTTPStatus.CONFLICT


@dataclass(frozen=True)
class Held:
    """A model in memory, ready to score. A detector is not thread-safe: `lock` lets one caller in at a time."""

    detector: Detector
    device: str
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Scored:
    """Raw score and anomaly map [H, W] float32 in model pixels, with the milliseconds that each step took."""

    score: float
    map: NDArray[np.float32]
    timings: dict[str, float]


_held: OrderedDict[tuple[str, str], Held] = OrderedDict()
_lock = threading.Lock()


def hold(version: ModelVersion, device: str = "") -> Held:
    """The version's model in this process, loaded from its artifact unless it is here already.

    Raises `ModelUnusable` with the reason; the hash recorded at training must match what lies on the disk.
    """
    from modelzoo.detectors import artifacts
    from modelzoo.detectors.base import resolve_device
    from modelzoo.detectors.errors import DetectorError

    try:
        chosen = resolve_device(device or settings.DEVICE)
    except DetectorError as error:
        raise ModelUnusable(str(error), code="device_unavailable") from error
    key = (version.artifact_sha256, chosen)
    with _lock:
        if key in _held:
            _held.move_to_end(key)
            return _held[key]
        try:
            detector = artifacts.load(version.artifact_path, expected_sha256=version.artifact_sha256, device=chosen)
        except (DetectorError, OSError) as error:
            raise ModelUnusable(
                f"{version} cannot be loaded: {error} What was in force stays in force. "
                "Restore the artifact from a backup or load another version."
            ) from error
        _held[key] = Held(detector, chosen)
        while len(_held) > _MODELS_HELD:
            _held.popitem(last=False)
        return _held[key]


def score(held: Held, images: Sequence[bytes]) -> list[Scored]:
    """Score images that passed the gate. Timings are shared evenly by the images of one call."""
    import torch

    limits = gate_limits()
    with held.lock:
        began = time.perf_counter()
        prepared = torch.stack([held.detector.preprocess(open_rgb(data, limits)) for data in images])
        decoded = time.perf_counter()
        result = held.detector.score(prepared)
        scored = time.perf_counter()
    timings = {
        "decode_ms": round((decoded - began) * 1000 / len(images), 3),
        "model_ms": round((scored - decoded) * 1000 / len(images), 3),
    }
    return [
        Scored(float(value), anomaly_map, dict(timings))
        for value, anomaly_map in zip(result.scores, result.maps, strict=True)
    ]


def forget() -> None:
    """Drop every model held in this process."""
    with _lock:
        _held.clear()
