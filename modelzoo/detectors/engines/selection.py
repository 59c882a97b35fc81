"""Choosing how a model is run on this machine: by a short measurement, among precisions that keep its verdicts."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import platform
import time
from importlib import import_module
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
# `auto` takes a faster precision only while it moves no reference image's score by more than this share of the standard
# deviation of good parts: then it moves no verdict that a second photograph of the part would not move as well.
MAX_AUTO_SCORE_SHIFT = 0.2
TIMING_ROUNDS = 5


class Scorer:
    """A fitted detector with the engine chosen for it. It scores as `Detector.score` does.

    A batch that does not fit into the device's memory is cut in halves, and later ones are cut to what fitted.

    Attributes:
        choice: what was chosen and why, JSON-safe: runtime, precision, and for `auto` what each precision took and
            how far it moved the scores of the reference images.
    """

    def __init__(self, detector: Detector, engine: Engine, choice: dict[str, Any]) -> None:
        self.detector = detector
        self.engine = engine
        self.choice = choice
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
            return self.engine.maps(images)
        except MemoryError:
            if len(images) == 1:
                raise
        self._max_batch = (len(images) + 1) // 2
        return np.concatenate([self._maps(half) for half in images.split(self._max_batch)])


def open_scorer(
    detector: Detector, *, runtime: str = TORCH, precision: str = AUTO, cache: Path | None = None
) -> Scorer:
    """The detector in a runtime and precision; `auto` measures which precision is the fastest here.

    Args:
        cache: a folder for this very model, in which engines keep what they have built, and which precision `auto`
            chose on this kind of machine: a model gives an image the same score after every start. None keeps nothing.

    Raises:
        DetectorError: for a runtime or precision that there is not.
        EngineUnavailable: when it is not to be had on this machine or for this detector, or moves the scores of good
            parts too far.
    """
    if runtime not in _ENGINES:
        raise DetectorError(f"There is no runtime {runtime!r}; there are {', '.join(RUNTIMES)}.")
    if precision not in (AUTO, *PRECISIONS):
        raise DetectorError(f"There is no precision {precision!r}; there are {', '.join((AUTO, *PRECISIONS))}.")
    module, _, name = _ENGINES[runtime].partition(":")
    engine_class: type[Engine] = getattr(import_module(module), name)
    available = engine_class.precisions(detector)
    if precision == AUTO:
        return _auto_scorer(detector, engine_class, available, cache)
    if precision not in available:
        raise EngineUnavailable(
            f"Precision {precision} is not to be had with runtime {runtime} for {detector.algorithm} here; "
            f"there is {', '.join(available)}."
        )
    engine = _open_engine(engine_class, detector, precision, cache)
    choice: dict[str, Any] = {"runtime": runtime, "precision": precision, "because": "it was requested"}
    if (runtime, precision) != (TORCH, FP32):
        shift = score_shift_in_std(detector, engine.maps(detector.reference_images).max(axis=(1, 2)))
        if not shift <= MAX_SCORE_SHIFT:
            raise EngineUnavailable(f"{precision_refusal(precision, shift)} Use fp32 or auto.")
        choice["moved"] = round(shift, 4)
    return Scorer(detector, engine, choice)


def _open_engine(engine_class: type[Engine], detector: Detector, precision: str, cache: Path | None) -> Engine:
    try:
        return engine_class(detector, precision, cache)
    except (DetectorError, MemoryError):
        raise
    except Exception as error:
        # Exporters, compilers and runtimes have no common class of errors.
        if engine_class.runtime == TORCH:
            raise
        raise EngineUnavailable(
            f"Runtime {engine_class.runtime} fails with this model ({type(error).__name__}: {str(error)[:300]}); "
            "use runtime torch."
        ) from error


def _auto_scorer(
    detector: Detector, engine_class: type[Engine], available: tuple[str, ...], cache: Path | None
) -> Scorer:
    """The precision that was chosen on this kind of machine before, else the one that a measurement chooses now.

    Measured anew at each start, a busy machine would now choose this precision and now that one, and the same image
    would get two scores.
    """
    path = cache / f"precision-{engine_class.runtime}-{_machine_key(detector, available)}.json" if cache else None
    stored = _read_choice(path, available)
    if stored is not None:
        engine = _open_engine(engine_class, detector, stored["precision"], cache)
        return Scorer(detector, engine, stored)
    scorer = _fastest_scorer(detector, engine_class, available, cache)
    if path is None:
        return scorer
    stored = _write_choice(path, scorer.choice, available)
    if stored["precision"] == scorer.choice["precision"]:
        return scorer
    # Another process measured at the same time and was first: all of this machine score alike.
    return Scorer(detector, _open_engine(engine_class, detector, stored["precision"], cache), stored)


def _machine_key(detector: Detector, available: tuple[str, ...]) -> str:
    """What a measurement depends on, as 16 hexadecimal digits: processor or GPU, threads, PyTorch, what is offered."""
    if detector.device == "cuda":
        device = torch.cuda.get_device_name()
    else:
        device = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()} {torch.get_num_threads()}"
    return hashlib.sha256("|".join((device, torch.__version__, *available)).encode()).hexdigest()[:16]


def _read_choice(path: Path | None, available: tuple[str, ...]) -> dict[str, Any] | None:
    """What `_write_choice` wrote; None where there is nothing, or nothing that can be used."""
    if path is None:
        return None
    try:
        choice = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return choice if isinstance(choice, dict) and choice.get("precision") in available else None


def _write_choice(path: Path, choice: dict[str, Any], available: tuple[str, ...]) -> dict[str, Any]:
    """Stores the choice, whole or not at all, unless one is stored already; returns the one that counts."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(choice | {"because": f"{choice['because']}, measured at the first start"})
        try:
            with write_whole(path, replace=False) as out:
                out.write(text.encode())
        except FileExistsError:
            stored = _read_choice(path, available)
            if stored is not None:
                return stored
            with write_whole(path) as out:
                out.write(text.encode())
    except OSError as error:
        log.warning("The precision that was chosen could not be stored in %s (%s).", path.parent, error)
    return choice


def _fastest_scorer(
    detector: Detector, engine_class: type[Engine], available: tuple[str, ...], cache: Path | None
) -> Scorer:
    reference_images = detector.reference_images
    engines = [_open_engine(engine_class, detector, precision, cache) for precision in available]
    scores = [engine.maps(reference_images).max(axis=(1, 2)) for engine in engines]
    shift = [score_shift_in_std(detector, engine_scores, scores[0]) for engine_scores in scores]
    times = [math.inf] * len(engines)
    # In turns, and the shortest time counts, so that other load on the machine does not decide.
    for _ in range(TIMING_ROUNDS):
        for index, engine in enumerate(engines):
            start = time.perf_counter()
            engine.maps(reference_images[:1])
            times[index] = min(times[index], (time.perf_counter() - start) * 1000)
    candidates = [index for index, shift in enumerate(shift) if index == 0 or shift <= MAX_AUTO_SCORE_SHIFT]
    best = min(candidates, key=times.__getitem__)
    choice = {
        "runtime": engine_class.runtime,
        "precision": available[best],
        "because": "it was the quickest here that keeps the scores",
        "measured": [
            {"precision": precision, "ms": round(ms, 3), "moved": round(shift, 4)}
            for precision, ms, shift in zip(available, times, shift, strict=True)
        ],
    }
    return Scorer(detector, engines[best], choice)
