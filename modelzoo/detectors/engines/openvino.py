"""OpenVINO: Intel's and other x86 processors, which it knows how to use in bfloat16 and in 8 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from modelzoo.detectors.base import Detector
from modelzoo.detectors.engines.base import BF16, FP32, INT8, OPENVINO, Engine, EngineUnavailable
from modelzoo.detectors.engines.export import library, onnx_model

_HINTS = {FP32: "f32", BF16: "bf16", INT8: "f32"}  # of what is not 8 bits wide


class OpenVinoEngine(Engine):
    """The exported model in OpenVINO, with as many threads as PyTorch has."""

    runtime = OPENVINO

    def __init__(self, detector: Detector, precision: str, cache: Path | None = None) -> None:
        super().__init__(detector, precision, cache)
        core = library("openvino", "openvino").Core()
        model = core.read_model(onnx_model(detector, INT8 if precision == INT8 else FP32, cache))
        self._compiled = core.compile_model(
            model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": _HINTS[precision],
                "INFERENCE_NUM_THREADS": torch.get_num_threads(),
                "NUM_STREAMS": 1,
                "PERFORMANCE_HINT": "LATENCY",
            },
        )

    @classmethod
    def precisions(cls, detector: Detector) -> tuple[str, ...]:
        if detector.device != "cpu":
            raise EngineUnavailable("Runtime openvino runs on the processor here; use device=cpu.")
        core = library("openvino", "openvino").Core()
        for name in ("onnx", "onnxscript"):
            library(name, name)
        capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        quantises: tuple[str, ...] = ()
        try:
            library("onnxruntime", "onnxruntime")
            quantises = (INT8,)
        except EngineUnavailable:
            pass
        return (FP32, *((BF16,) if "BF16" in capabilities else ()), *quantises)

    def maps(self, images: torch.Tensor) -> np.ndarray:
        return np.asarray(self._compiled([images.numpy()])["maps"])
