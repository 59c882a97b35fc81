"""Choosing how a model is run on this machine: by a race between the ways that there are and that keep its verdicts."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import platform
import time
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from common.files import write_whole
from common.pixels.sixteen_bit import Window
from modelzoo.detectors.base import BatchScores, Detector
from modelzoo.detectors.engines.base import (
    AUTO,
    COMPILED,
    FP32,
    MAX_SCORE_SHIFT,
    ONNXRUNTIME,
    OPENVINO,
    PRECISIONS,
    TORCH,
    Engine,
    EngineUnavailable,
    precision_refusal,
    score_shift_in_std,
)
from modelzoo.detectors.engines.threads import ThreadChooser
from modelzoo.detectors.errors import DetectorError
from modelzoo.detectors.preprocessing.input_rules import InputRules
from modelzoo.detectors.preprocessing.pipeline import PreparedImage

log = logging.getLogger(__name__)

# Named by module, so that a runtime's library is imported only where that runtime is used.
_ENGINES = {
    TORCH: "modelzoo.detectors.engines.native:TorchEngine",
    COMPILED: "modelzoo.detectors.engines.native:CompiledEngine",
    ONNXRUNTIME: "modelzoo.detectors.engines.onnxruntime:OnnxRuntimeEngine",
    OPENVINO: "modelzoo.detectors.engines.openvino:OpenVinoEngine",
}
RUNTIMES = tuple(_ENGINES)
# Those that `auto` tries where their libraries are installed. Compiling takes minutes, so that it has to be asked for.
_RACING = (TORCH, ONNXRUNTIME, OPENVINO)
# `auto` takes a quicker precision only while it moves no reference image's score by more than this share of the
# standard deviation of good parts: then it moves no verdict that a second photograph would not move as well.
MAX_AUTO_SCORE_SHIFT = 0.2
_ROUNDS = 5
# One image, and as many as a worker gives to the model at once: both count alike.
_BATCHES = (1, 4)
# How much quicker than PyTorch another runtime has to be: PyTorch alone can change its threads while others share the
# processor, and needs no exported file.
_MARGIN = 0.1


class Scorer:
    """A fitted detector with the engine chosen for it. It scores as `Detector.score` does.

    A batch that does not fit into the device's memory is cut in halves, and later ones are cut to what fitted. The
    number of threads follows what is the quickest on the machine as it is at the moment.

    Attributes:
        choice: what was chosen and why, JSON-safe: runtime, precision, and for `auto` what each way took and how far it
            moved the scores of the reference images.
        threads: what chooses the number of threads; only PyTorch's can change from one image to the next.
    """

    def __init__(self, detector: Detector, engine: Engine, choice: dict[str, Any]) -> None:
        self.detector = detector
        self.engine = engine
        self.choice = choice
        is_torch = engine.runtime == TORCH
        self.threads = ThreadChooser.for_device(detector.device) if is_torch else ThreadChooser.fixed()
        self._max_batch = 0  # images at once; 0 while nothing was too much

    def prepare(self, image: Image.Image, rules: InputRules | None = None) -> PreparedImage:
        """As `Detector.prepare`."""
        return self.detector.prepare(image, rules)

    @property
    def window(self) -> Window | None:
        """As `Detector.window`."""
        return self.detector.window

    def score(self, images: torch.Tensor) -> BatchScores:
        """As `Detector.score`.

        Raises:
            DetectorError: for images of another shape or dtype.
            MemoryError: when not even one image fits.
        """
        self.detector.check(images)
        parts = [self._maps(part) for part in images.split(self._max_batch or max(1, len(images)))]
        maps = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return BatchScores(scores=maps.max(axis=(1, 2), initial=-np.inf), maps=maps)

    def _maps(self, images: torch.Tensor) -> np.ndarray:
        if not len(images):
            return np.empty((0, *self.detector.input_size), np.float32)
        try:
            with self.threads.chosen(len(images)):
                return self.engine.maps(images)
        except MemoryError:
            if len(images) == 1:
                raise
        self._max_batch = (len(images) + 1) // 2
        return np.concatenate([self._maps(half) for half in images.split(self._max_batch)])


@dataclass(frozen=True)
class _Way:
    """A runtime in one precision."""

    engine_class: type[Engine]
    precision: str

    @property
    def runtime(self) -> str:
        return self.engine_class.runtime

    def open(self, detector: Detector, cache: Path | None) -> Engine:
        """Raises `EngineUnavailable` where the runtime fails with this model."""
        try:
            return self.engine_class(detector, self.precision, cache)
        except (DetectorError, MemoryError):
            raise
        except Exception as error:
            # Exporters, compilers and runtimes have no common class of errors.
            if self.runtime == TORCH:
                raise
            raise EngineUnavailable(
                f"Runtime {self.runtime} fails with this model ({type(error).__name__}: {str(error)[:300]}); "
                "use runtime torch."
            ) from error


def open_scorer(
    detector: Detector, *, runtime: str = TORCH, precision: str = AUTO, cache: Path | None = None
) -> Scorer:
    """The detector in a runtime and precision; `auto` measures which is the quickest here.

    Args:
        cache: a folder for this very model, in which engines keep what they have built, and what `auto` chose on this
            kind of machine: a model gives an image the same score after every start. None keeps nothing.

    Raises:
        DetectorError: for a runtime or precision that there is not.
        EngineUnavailable: when it is not to be had on this machine or for this detector, or moves the scores of good
            parts too far.
    """
    if runtime not in (AUTO, *RUNTIMES):
        raise DetectorError(f"There is no runtime {runtime!r}; there are {', '.join((AUTO, *RUNTIMES))}.")
    if precision not in (AUTO, *PRECISIONS):
        raise DetectorError(f"There is no precision {precision!r}; there are {', '.join((AUTO, *PRECISIONS))}.")
    ways, unavailable = _ways(detector, runtime, precision)
    if AUTO in (runtime, precision):
        max_shift = MAX_AUTO_SCORE_SHIFT if precision == AUTO else MAX_SCORE_SHIFT
        return _auto_scorer(detector, ways, unavailable, max_shift, _choice_path(detector, ways, cache), cache)
    return _requested_scorer(detector, ways[0], cache)


def _ways(detector: Detector, runtime: str, precision: str) -> tuple[list[_Way], list[dict[str, str]]]:
    """The ways that were asked for and are to be had here, PyTorch's float32 first, and what is not and why."""
    ways: list[_Way] = []
    unavailable: list[dict[str, str]] = []
    for name in _RACING if runtime == AUTO else (runtime,):
        module, _, class_name = _ENGINES[name].partition(":")
        engine_class: type[Engine] = getattr(import_module(module), class_name)
        try:
            available = engine_class.precisions(detector)
        except EngineUnavailable as error:
            if runtime != AUTO:
                raise
            unavailable.append({"runtime": name, "because": str(error)})
            continue
        ways += [_Way(engine_class, one) for one in available if precision in (AUTO, one)]
        if runtime != AUTO and not ways:
            raise EngineUnavailable(
                f"Precision {precision} is not to be had with runtime {runtime} for {detector.algorithm} here; "
                f"there is {', '.join(available)}."
            )
    if not ways:
        raise EngineUnavailable(
            f"Precision {precision} is not to be had with any runtime that is installed here: "
            + " ".join(row["because"] for row in unavailable)
        )
    return ways, unavailable


def _requested_scorer(detector: Detector, way: _Way, cache: Path | None) -> Scorer:
    engine = way.open(detector, cache)
    choice: dict[str, Any] = {"runtime": way.runtime, "precision": way.precision, "because": "it was requested"}
    if (way.runtime, way.precision) != (TORCH, FP32):
        shift = score_shift_in_std(detector, engine.maps(detector.reference_images).max(axis=(1, 2)))
        if not shift <= MAX_SCORE_SHIFT:
            raise EngineUnavailable(f"{precision_refusal(way.precision, shift)} Use fp32 or auto.")
        choice["moved"] = round(shift, 4)
    return Scorer(detector, engine, choice)


def _auto_scorer(
    detector: Detector,
    ways: list[_Way],
    unavailable: list[dict[str, str]],
    max_shift: float,
    path: Path | None,
    cache: Path | None,
) -> Scorer:
    """The way that was chosen on this kind of machine before, else the one that a race chooses now.

    Measured anew at each start, a busy machine would now choose this way and now that one, and the same image would
    get two scores.
    """
    by_name = {(way.runtime, way.precision): way for way in ways}
    stored = _read_choice(path, by_name)
    if stored is not None:
        return Scorer(detector, by_name[_name(stored)].open(detector, cache), stored)
    scorer = _race(detector, ways, unavailable, max_shift, cache)
    if path is None:
        return scorer
    stored = _write_choice(path, scorer.choice, by_name)
    if _name(stored) == _name(scorer.choice):
        return scorer
    # Another process measured at the same time and was first: all of this machine score alike.
    return Scorer(detector, by_name[_name(stored)].open(detector, cache), stored)


def _name(choice: dict[str, Any]) -> tuple[Any, Any]:
    return choice.get("runtime"), choice.get("precision")


def _choice_path(detector: Detector, ways: list[_Way], cache: Path | None) -> Path | None:
    """Where the choice between these ways is kept. Its name has all that a measurement depends on: processor or GPU,
    threads, versions of the libraries, what there is to choose from."""
    if cache is None:
        return None
    device = torch.cuda.get_device_name() if detector.device == "cuda" else processor()
    versions = [f"{package} {_version(package)}" for package in ("torch", "onnxruntime", "openvino")]
    text = "|".join((device, *versions, *(f"{way.runtime} {way.precision}" for way in ways)))
    return cache / f"choice-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def processor() -> str:
    """The kind of processor, what PyTorch uses of it, and how many threads: what decides how sums are rounded."""
    model = platform.processor()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        model = next((line for line in lines if line.startswith("model name")), model)
    return f"{platform.machine()} {model} {torch.backends.cpu.get_cpu_capability()} {torch.get_num_threads()}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _read_choice(path: Path | None, ways: Container[tuple[Any, Any]]) -> dict[str, Any] | None:
    """What `_write_choice` wrote; None where there is nothing, or nothing that can be used."""
    if path is None:
        return None
    try:
        choice = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return choice if isinstance(choice, dict) and _name(choice) in ways else None


def _write_choice(path: Path, choice: dict[str, Any], ways: Container[tuple[Any, Any]]) -> dict[str, Any]:
    """Stores the choice, whole or not at all, unless one is stored already; returns the one that counts."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(choice | {"because": f"{choice['because']}, measured at the first start"})
        try:
            with write_whole(path, replace=False) as out:
                out.write(text.encode())
        except FileExistsError:
            stored = _read_choice(path, ways)
            if stored is not None:
                return stored
            with write_whole(path) as out:
                out.write(text.encode())
    except OSError as error:
        log.warning("What was chosen could not be stored in %s (%s).", path.parent, error)
    return choice


@dataclass
class _Runner:
    """A way in the race: how far it moves scores, and its shortest times, milliseconds an image, by batch."""

    way: _Way
    engine: Engine
    moved: float
    ms: dict[int, float]

    @property
    def mean_ms(self) -> float:
        return sum(self.ms.values()) / len(self.ms)

    def document(self) -> dict[str, Any]:
        """JSON-safe."""
        times = {str(batch): round(ms, 3) for batch, ms in self.ms.items()}
        return {
            "runtime": self.way.runtime,
            "precision": self.way.precision,
            "ms": times,
            "moved": round(self.moved, 4),
        }


def _race(
    detector: Detector,
    ways: list[_Way],
    unavailable: list[dict[str, str]],
    max_shift: float,
    cache: Path | None,
) -> Scorer:
    """All ways in turns; the quickest that keeps the scores wins. One that fails with this model drops out.

    Raises:
        EngineUnavailable: when none is left.
    """
    reference_images = detector.reference_images
    reference = detector.score(reference_images).scores
    runners: list[_Runner] = []
    unavailable = list(unavailable)
    for way in ways:
        try:
            engine = way.open(detector, cache)
            scores = engine.maps(reference_images).max(axis=(1, 2))
        except (EngineUnavailable, MemoryError) as error:
            unavailable.append({"runtime": way.runtime, "precision": way.precision, "because": str(error)})
            continue
        shift = score_shift_in_std(detector, scores, reference)
        if shift <= max_shift:
            runners.append(_Runner(way, engine, shift, dict.fromkeys(_BATCHES, math.inf)))
        else:
            unavailable.append(
                {
                    "runtime": way.runtime,
                    "precision": way.precision,
                    "because": precision_refusal(way.precision, shift, max_shift),
                }
            )
    if not runners:
        raise EngineUnavailable(" ".join(row["because"] for row in unavailable) + " Use fp32 or auto.")
    # In turns, and the shortest time counts, so that other load on the machine does not decide.
    for _ in range(_ROUNDS):
        for runner in runners:
            for batch in _BATCHES:
                images = reference_images[torch.arange(batch) % len(reference_images)]
                start = time.perf_counter()
                runner.engine.maps(images)
                runner.ms[batch] = min(runner.ms[batch], (time.perf_counter() - start) * 1000 / batch)
    best = min(runners, key=lambda runner: runner.mean_ms * (1 if runner.way.runtime == TORCH else 1 + _MARGIN))
    choice = {
        "runtime": best.way.runtime,
        "precision": best.way.precision,
        "because": "it was the quickest here that keeps the scores",
        "measured": [runner.document() for runner in runners],
        "unavailable": unavailable,
    }
    return Scorer(detector, best.engine, choice)
