"""The bridge between records and detectors: loads an artifact, keeps it warm, scores image bytes.

torch is imported inside the functions, so that the web server can name this module without paying for it.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import time
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
from common.observability import tracing
from common.pixels.sixteen_bit import Window
from jobs import liveness
from jobs.metrics.definitions import MODEL_LOAD_FAILURES, MODEL_LOAD_SECONDS
from jobs.metrics.publishing import add_source
from modelzoo.detectors.errors import DetectorError, NotComparable
from modelzoo.evaluation.image_statistics import record_statistics
from modelzoo.evaluation.regions import outlines
from modelzoo.loading.artifact_check import ArtifactFault
from modelzoo.loading.artifact_store import local_folder
from modelzoo.loading.warm_models import Reporter, WarmModels, budget_bytes
from modelzoo.models import ModelVersion
from records.assets.images import as_rgb, open_pixels
from records.assets.selectors import fixed_window, upload_limits

if TYPE_CHECKING:
    from modelzoo.detectors.base import Detector
    from modelzoo.detectors.engines.selection import Scorer
    from modelzoo.detectors.preprocessing.input_check import Finding
    from modelzoo.detectors.preprocessing.input_rules import InputRules
    from modelzoo.detectors.preprocessing.pipeline import Frame, PreparedImage

T = TypeVar("T")
R = TypeVar("R")

# Images that the model takes at once on a CPU, where more gain nothing: while it works, threads prepare the next ones.
_CPU_BATCH_SIZE = 4


class ModelUnusable(UserError):
    """The artifact cannot be loaded: missing, tampered with, or made for something that is not here."""

    code = "model_unusable"
    status = HTTPStatus.CONFLICT


@dataclass(frozen=True)
class LoadedModel:
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
class ImageScore:
    """Raw score, and the anomaly map [h, w] float32 in model pixels with the way back to the image's.

    `timings`: milliseconds that each step took, and the runtime and precision that the model was run in. `findings`:
    what is odd about the picture, though it was judged. `statistics`: see `image_statistics.record_statistics`, with
    `alignment_residual` and `likeness_distance` of what was prepared. `ignored`: the model pixels that are not judged,
    bool [h, w]; None where all are.
    """

    score: float
    model_map: NDArray[np.float32]
    frame: Frame
    timings: dict[str, float | str]
    findings: tuple[Finding, ...] = ()
    statistics: dict[str, float] = field(default_factory=dict)
    ignored: NDArray[np.bool_] | None = None

    def ignored_outlines(self) -> list[list[list[int]]]:
        """What is not judged, as closed polygons in the original image's pixels; one inside another is a hole."""
        if self.ignored is None:
            return []
        return outlines(self.frame.to_original(self.ignored.astype(np.float32)) >= 0.5)

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
class IncomparableImage:
    """An image without a score: it cannot be compared with the good parts. `reason` is for programs."""

    reason: str
    explanation: str
    timings: dict[str, float | str]
    statistics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _PreparedItem:
    """The model's input, or why there is none, what the picture looks like as a whole, and the milliseconds of each."""

    image: PreparedImage | NotComparable
    statistics: dict[str, float]
    timings: dict[str, float | str]


_loaded: WarmModels[LoadedModel] = WarmModels()
_lock = threading.Lock()
report_memory = Reporter(_loaded, _lock).report


def load_model(version: ModelVersion, device: str = "", *, runtime: str = "", precision: str = "") -> LoadedModel:
    """The version's model in this process, loaded from its artifact unless it is here already.

    What is not given is as the settings say. Raises `ModelUnusable` with the reason; the hash recorded at training
    must match what lies on the disk.
    """
    from modelzoo.detectors import artifacts
    from modelzoo.detectors.base import resolve_device
    from modelzoo.detectors.engines.base import EngineUnavailable
    from modelzoo.detectors.engines.memory import memory_bytes
    from modelzoo.detectors.engines.selection import open_scorer
    from modelzoo.detectors.preprocessing.grey_window import GreyWindow

    runtime, precision = runtime or settings.RUNTIME, precision or settings.PRECISION

    try:
        resolved = resolve_device(device or settings.DEVICE)
    except DetectorError as error:
        MODEL_LOAD_FAILURES.labels("device_unavailable").inc()
        raise ModelUnusable(str(error), code="device_unavailable") from error
    key = (version.artifact_sha256, resolved, runtime, precision)
    with _lock:
        if (warm := _loaded.get(key)) is not None:
            return warm
        began = time.perf_counter()
        try:
            with liveness.long_step(settings.LOAD_TIMEOUT), tracing.span("load model", version=str(version.pk)):
                detector = artifacts.load(
                    local_folder(version), expected_sha256=version.artifact_sha256, device=resolved
                )
                if detector.preprocessing.window is None and (fixed := fixed_window()):
                    detector.preprocessing.window = GreyWindow(*fixed, has_eight_bit=True)
                engine_cache = Path(settings.VAR_DIR) / "engines" / version.artifact_sha256
                scorer = open_scorer(detector, runtime=runtime, precision=precision, cache=engine_cache)
        except EngineUnavailable as error:
            MODEL_LOAD_FAILURES.labels("runtime_unavailable").inc()
            raise ModelUnusable(
                f"{version} cannot be run in this way: {error} The current model stays in production.",
                code="runtime_unavailable",
            ) from error
        except (ArtifactFault, DetectorError, OSError) as error:
            MODEL_LOAD_FAILURES.labels(ModelUnusable.code).inc()
            raise ModelUnusable(
                f"{version} cannot be loaded: {getattr(error, 'strerror', None) or error} The current model stays "
                "in production. Restore the artifact from a backup or load another version."
            ) from error
        MODEL_LOAD_SECONDS.observe(time.perf_counter() - began)
        add_source(_figures)
        model = LoadedModel(detector, scorer, resolved)
        choice = {name: scorer.choice[name] for name in ("runtime", "precision")}
        _loaded.put(
            key,
            model,
            size_bytes=memory_bytes(detector, scorer, engine_cache),
            description={"model_version": version.pk, "name": str(version), "device": resolved, **choice},
        )
        return model


def _figures() -> dict[str, int]:
    """Of the models in this process, for its metrics; nothing where none was ever loaded."""
    with _lock:
        return {
            "models_warm": len(_loaded),
            "models_warm_bytes": _loaded.size_bytes,
            "models_budget_bytes": budget_bytes(),
        }


def with_rules(model: LoadedModel, rules: InputRules) -> LoadedModel:
    """The same model in memory, for pictures that are checked by these rules (`selectors.input_rules`)."""
    return replace(model, rules=rules)


def score(model: LoadedModel, images: Sequence[bytes | Image.Image]) -> list[ImageScore | IncomparableImage]:
    """Score images that passed upload validation, in their order. One that cannot be compared leaves the others alone.

    Images are decoded and prepared by threads, ahead of the model: no core waits for another. `decode_ms` is the time
    of that for the image itself; `model_ms` is shared evenly by the images that were scored together.

    Args:
        images: files that passed upload validation, or their decoded pixels, as `open_pixels` gives them.
    """
    if len(images) == 1:
        return _score_step(model, [_prepare(model, images[0])])
    prepared = in_threads(lambda image: _prepare(model, image), images)
    size = _CPU_BATCH_SIZE if model.device == "cpu" else len(images)
    results: list[ImageScore | IncomparableImage] = []
    while step := list(islice(prepared, size)):
        results += _score_step(model, step)
    return results


def in_threads(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """`work` of each item, in order, by as many threads as this process has cores. It must not touch the database."""
    for result in _threads().map(work, items):
        liveness.progress()
        yield result


@functools.lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    return ThreadPoolExecutor(cores, thread_name_prefix="prepare")


def _score_step(model: LoadedModel, prepared: Sequence[_PreparedItem]) -> list[ImageScore | IncomparableImage]:
    from modelzoo.detectors.preprocessing.pipeline import as_batch

    ready = [item.image for item in prepared if not isinstance(item.image, Exception)]
    liveness.progress()
    with model.lock:
        start = time.perf_counter()
        result = model.scorer.score(as_batch(ready)) if ready else None
        model_ms = _ms_since(start) / max(1, len(ready))
    values = iter(zip(result.scores, result.maps, strict=True)) if result else iter(())
    results: list[ImageScore | IncomparableImage] = []
    for item in prepared:
        image, timings = item.image, dict(item.timings)
        if isinstance(image, Exception):
            results.append(IncomparableImage(image.reason, str(image), timings, item.statistics))
        else:
            value, model_map = next(values)
            timings["model_ms"] = round(model_ms, 3)
            timings |= {name: model.scorer.choice[name] for name in ("runtime", "precision")}
            results.append(
                ImageScore(
                    float(value), model_map, image.frame, timings, image.findings, item.statistics, image.ignored
                )
            )
    return results


def _prepare(model: LoadedModel, image: bytes | Image.Image) -> _PreparedItem:
    start = time.perf_counter()
    pixels = open_pixels(image, upload_limits()) if isinstance(image, bytes) else image
    prepared: PreparedImage | NotComparable
    try:
        prepared = model.detector.prepare(pixels, model.rules)
    except NotComparable as error:
        prepared = error
    timings: dict[str, float | str] = {"decode_ms": round(_ms_since(start), 3)}
    start = time.perf_counter()
    statistics = statistics_of(pixels, None if isinstance(prepared, Exception) else prepared, model.detector.window)
    return _PreparedItem(prepared, statistics, timings | {"statistics_ms": round(_ms_since(start), 3)})


def statistics_of(pixels: Image.Image, prepared: PreparedImage | None, window: Window | None) -> dict[str, float]:
    """What a record keeps of a picture as a whole, as it came, and of how well it could be aligned."""
    statistics = record_statistics(np.asarray(as_rgb(pixels, window)))
    if prepared is not None and prepared.alignment_residual is not None:
        statistics["alignment_residual"] = prepared.alignment_residual
    if prepared is not None and prepared.distance is not None:
        statistics["likeness_distance"] = prepared.distance
    return {name: round(value, 6) for name, value in statistics.items()}


def _ms_since(start: float) -> float:
    return (time.perf_counter() - start) * 1000


def unload_models() -> None:
    """Drop every model held in this process."""
    with _lock:
        _loaded.clear()
