"""The bridge between records and detectors: loads an artifact, keeps it warm, scores image bytes.

torch is imported inside the functions, so that the web server can name this module without paying for it.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from django.conf import settings
from numpy.typing import NDArray
from PIL import Image

from common.errors import UserError
from jobs import liveness
from modelzoo.detectors.errors import DetectorError, NotComparable
from modelzoo.models import ModelVersion
from records.assets.images import open_rgb
from records.assets.selectors import gate_limits

if TYPE_CHECKING:
    from modelzoo.detectors.base import Detector
    from modelzoo.detectors.engines.selection import Scorer
    from modelzoo.detectors.preprocessing.input_check import Finding
    from modelzoo.detectors.preprocessing.input_rules import InputRules
    from modelzoo.detectors.preprocessing.pipeline import Frame, PreparedImage

T = TypeVar("T")
R = TypeVar("R")

# Images that the model takes at once on a CPU, where more gain nothing: while it works, threads prepare the next ones.
_STEP = 4
# A line runs one model; two more cover a change of product. Each holds some 60 to 300 MB.
_MODELS_HELD = 3


class ModelUnusable(UserError):
    """The artifact cannot be loaded: missing, tampered with, or made for something that is not here."""

    code = "model_unusable"
    status = HTTPStatus.CONFLICT


@dataclass(frozen=True)
class Held:
    """A model in memory, ready to score: `scorer` runs `detector` the way that was chosen for this machine.

    A scorer is not thread-safe: `lock` lets one caller in at a time. `rules`: what is checked of each picture, nothing
    where they are not given.
    """

    detector: Detector
    scorer: Scorer
    device: str
    rules: InputRules | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Scored:
    """Raw score, and the anomaly map [h, w] float32 in model pixels with the way back to the image's.

    `timings`: milliseconds that each step took, and the runtime and precision that the model was run in. `findings`:
    what is odd about the picture, though it was judged.
    """

    score: float
    model_map: NDArray[np.float32]
    frame: Frame
    timings: dict[str, float | str]
    findings: tuple[Finding, ...] = ()

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
    timings: dict[str, float | str]


_held: OrderedDict[tuple[str, str, str, str], Held] = OrderedDict()
_lock = threading.Lock()


def hold(version: ModelVersion, device: str = "", *, runtime: str = "", precision: str = "") -> Held:
    """The version's model in this process, loaded from its artifact unless it is here already.

    What is not given is as the settings say. Raises `ModelUnusable` with the reason; the hash recorded at training
    must match what lies on the disk.
    """
    from modelzoo.detectors import artifacts
    from modelzoo.detectors.base import resolve_device
    from modelzoo.detectors.engines.base import EngineUnavailable
    from modelzoo.detectors.engines.selection import open_scorer

    runtime, precision = runtime or settings.RUNTIME, precision or settings.PRECISION

    try:
        chosen = resolve_device(device or settings.DEVICE)
    except DetectorError as error:
        raise ModelUnusable(str(error), code="device_unavailable") from error
    key = (version.artifact_sha256, chosen, runtime, precision)
    with _lock:
        if key in _held:
            _held.move_to_end(key)
            return _held[key]
        try:
            with liveness.long_step(settings.LOAD_TIMEOUT):
                detector = artifacts.load(version.artifact_path, expected_sha256=version.artifact_sha256, device=chosen)
                built = Path(settings.VAR_DIR) / "engines" / version.artifact_sha256
                scorer = open_scorer(detector, runtime=runtime, precision=precision, cache=built)
        except EngineUnavailable as error:
            raise ModelUnusable(
                f"{version} cannot be run that way: {error} What was in force stays in force.",
                code="runtime_unavailable",
            ) from error
        except (DetectorError, OSError) as error:
            raise ModelUnusable(
                f"{version} cannot be loaded: {getattr(error, 'strerror', None) or error} What was in force stays in "
                "force. Restore the artifact from a backup or load another version."
            ) from error
        _held[key] = Held(detector, scorer, chosen)
        while len(_held) > _MODELS_HELD:
            _held.popitem(last=False)
        return _held[key]


def checking(held: Held, rules: InputRules) -> Held:
    """The same model in memory, for pictures that are checked by these rules (`selectors.input_rules`)."""
    return replace(held, rules=rules)


def score(held: Held, images: Sequence[bytes | Image.Image]) -> list[Scored | Incomparable]:
    """Score images that passed the gate, in their order. One that cannot be compared leaves the others alone.

    Images are decoded and prepared by threads, ahead of the model: no core waits for another. `decode_ms` is the time
    of that for the image itself; `model_ms` is shared evenly by the images that were scored together.

    Args:
        images: files that passed the gate, or their decoded pixels in mode RGB.
    """
    if len(images) == 1:
        return _score_step(held, [_prepare(held, images[0])])
    prepared = in_threads(lambda image: _prepare(held, image), images)
    size = _STEP if held.device == "cpu" else len(images)
    found: list[Scored | Incomparable] = []
    while step := list(islice(prepared, size)):
        found += _score_step(held, step)
    return found


def in_threads(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """`work` of each item, in order, by as many threads as this process has cores. It must not touch the database."""
    for result in _threads().map(work, items):
        liveness.progress()
        yield result


@functools.lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    return ThreadPoolExecutor(cores, thread_name_prefix="prepare")


def _score_step(
    held: Held, prepared: Sequence[tuple[PreparedImage | NotComparable, float]]
) -> list[Scored | Incomparable]:
    from modelzoo.detectors.preprocessing.pipeline import as_batch

    ready = [item for item, _ in prepared if not isinstance(item, Exception)]
    liveness.progress()
    with held.lock:
        began = time.perf_counter()
        result = held.scorer.score(as_batch(ready)) if ready else None
        model_ms = _ms_since(began) / max(1, len(ready))
    values = iter(zip(result.scores, result.maps, strict=True)) if result else iter(())
    found: list[Scored | Incomparable] = []
    for item, decode_ms in prepared:
        timings: dict[str, float | str] = {"decode_ms": round(decode_ms, 3)}
        if isinstance(item, Exception):
            found.append(Incomparable(item.reason, str(item), timings))
        else:
            value, model_map = next(values)
            timings["model_ms"] = round(model_ms, 3)
            timings |= {name: held.scorer.choice[name] for name in ("runtime", "precision")}
            found.append(Scored(float(value), model_map, item.frame, timings, item.findings))
    return found


def _prepare(held: Held, image: bytes | Image.Image) -> tuple[PreparedImage | NotComparable, float]:
    """The model's input, or why there is none, and the milliseconds that it took."""

    began = time.perf_counter()
    try:
        pixels = open_rgb(image, gate_limits()) if isinstance(image, bytes) else image
        return held.detector.prepare(pixels, held.rules), _ms_since(began)
    except NotComparable as error:
        return error, _ms_since(began)


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1000


def forget() -> None:
    """Drop every model held in this process."""
    with _lock:
        _held.clear()
