"""The contract of every engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import torch

from modelzoo.detectors.base import Detector
from modelzoo.detectors.errors import DetectorError

AUTO = "auto"
FP32, BF16, INT8 = "fp32", "bf16", "int8"
PRECISIONS = (FP32, BF16, INT8)
TORCH, COMPILED, ONNXRUNTIME, OPENVINO = "torch", "compile", "onnxruntime", "openvino"


class EngineUnavailable(DetectorError):
    """This runtime or precision is not to be had here; the sentence says what would make it so."""


class Engine(ABC):
    """A fitted detector, ready to score in one runtime and precision.

    Args:
        detector: fitted, on its device; it is not changed.
        precision: one of `precisions(detector)`.

    Raises:
        EngineUnavailable: when a library is missing, or the detector cannot be run that way.
    """

    runtime: ClassVar[str]

    def __init__(self, detector: Detector, precision: str) -> None:
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
