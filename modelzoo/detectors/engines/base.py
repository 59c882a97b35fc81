"""The contract of every engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from modelzoo.detectors.base import Detector
from modelzoo.detectors.errors import DetectorError

AUTO = "auto"
FP32, BF16, INT8 = "fp32", "bf16", "int8"
PRECISIONS = (FP32, BF16, INT8)
# In standard deviations of the scores of good parts: a precision that moves the score of a good part farther is
# refused, even when it was requested.
MAX_SCORE_SHIFT = 1.0
TORCH, COMPILED, ONNXRUNTIME, OPENVINO = "torch", "compile", "onnxruntime", "openvino"


class EngineUnavailable(DetectorError):
    """This runtime or precision is not to be had here; the sentence says what would make it so."""


class Engine(ABC):
    """A fitted detector, ready to score in one runtime and precision.

    Args:
        detector: fitted, on its device; it is not changed.
        precision: one of `precisions(detector)`.
        cache: a folder for this very model, where an engine that has to build something first may keep it; it is
            made when it is needed. None keeps nothing.

    Raises:
        EngineUnavailable: when a library is missing, or the detector cannot be run that way.
    """

    runtime: ClassVar[str]

    def __init__(self, detector: Detector, precision: str, cache: Path | None = None) -> None:
        self.detector = detector
        self.precision = precision

    @classmethod
    @abstractmethod
    def precisions(cls, detector: Detector) -> tuple[str, ...]:
        """What it offers for this detector on this machine, fp32 first. Raises EngineUnavailable when nothing."""

    @abstractmethod
    def maps(self, images: torch.Tensor) -> np.ndarray:
        """Smoothed anomaly maps, float32 [B,H,W], of uint8 [B,3,H,W] on the CPU, at least one.

        Raises:
            MemoryError: when so many images at once do not fit into the device's memory; fewer may.
        """


def score_shift_in_std(detector: Detector, scores: np.ndarray, reference: np.ndarray | None = None) -> float:
    """How far other scores of its reference images, float32 [n], lie from its own, in standard deviations of its
    held-out scores.

    Args:
        reference: the detector's own scores of these images, where they are known already.
    """
    reference = detector.score(detector.reference_images).scores if reference is None else reference
    spread = float(np.std(detector.held_out_scores))
    return float(np.abs(scores - reference).max()) / spread if spread > 0 else 0.0


def precision_refusal(precision: str, shift: float, limit: float = MAX_SCORE_SHIFT) -> str:
    """Why a precision is refused that moves scores by more than `limit`."""
    return (
        f"In {precision} the score of a good part moves by {shift:.1f} times the spread that good parts have, more "
        f"than {limit:g}: the threshold would no longer mean what it does."
    )
