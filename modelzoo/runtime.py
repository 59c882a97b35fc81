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
    from modelzoo.detectors.errors import NotComparable
    from modelzoo.detectors.preprocessing import Frame, Prepared

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
    """Raw score, and the anomaly map [h, w] float32 in model pixels with the way back to the image's.

    `timings`: milliseconds that each step took.
    """

    score: float
    model_map: NDArray[np.float32]
    frame: Frame
    timings: dict[str, float]

    def map(self) -> NDArray[np.float32]:
        """The anomaly map [H, W] float32 in the original image's pixels; its maximum is the score.

        Made when it is asked for: a batch of large images would not fit into memory at once. Resampling flattens a
        peak a little; the highest pixel gets the score back, so that what crosses the threshold does so here too.
        """
        warped = self.frame.to_original(self.model_map)
        highest = np.unravel_index(int(warped.argmax()), warped.shape)
        if warped[highest] > 0:  # else the peak lies outside the image, where no pixel can have it
            warped[highest] = self.score
        return warped


@dataclass(frozen=True)
class Incomparable:
    """An image without a score: it cannot be compared with the good parts. `reason` is for programs."""

    reason: str
    explanation: str
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


def score(held: Held, images: Sequence[bytes]) -> list[Scored | Incomparable]:
    """Score images that passed the gate, in their order. One that cannot be compared leaves the others alone.

    Timings are shared evenly by the images that took part in a step.
    """
    import torch

    with held.lock:
        began = time.perf_counter()
        prepared = [_prepare(held.detector, data) for data in images]
        decode_ms = _share(began, len(images))
        ready = [item.pixels for item in prepared if not isinstance(item, Exception)]
        began = time.perf_counter()
        result = held.detector.score(torch.stack(ready)) if ready else None
        model_ms = _share(began, len(ready))
    values = iter(zip(result.scores, result.maps, strict=True)) if result else iter(())
    found: list[Scored | Incomparable] = []
    for item in prepared:
        if isinstance(item, Exception):
            found.append(Incomparable(item.reason, str(item), {"decode_ms": decode_ms}))
        else:
            value, model_map = next(values)
            timings = {"decode_ms": decode_ms, "model_ms": model_ms}
            found.append(Scored(float(value), model_map, item.frame, timings))
    return found


def _prepare(detector: Detector, data: bytes) -> Prepared | NotComparable:
    from modelzoo.detectors.errors import NotComparable

    try:
        return detector.prepare(open_rgb(data, gate_limits()))
    except NotComparable as error:
        return error


def _share(began: float, images: int) -> float:
    return round((time.perf_counter() - began) * 1000 / max(1, images), 3)


def forget() -> None:
    """Drop every model held in this process."""
    with _lock:
        _held.clear()
