"""ONNX Runtime: on the CPU, on an NVIDIA GPU, and through TensorRT where its provider is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from modelzoo.detectors.base import Detector
from modelzoo.detectors.engines.base import FP32, INT8, ONNXRUNTIME, Engine, EngineUnavailable
from modelzoo.detectors.engines.export import INPUT, OUTPUTS, library, onnx_model

# Best first; the last is always there and takes what those before it cannot.
PROVIDERS = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")


class OnnxRuntimeEngine(Engine):
    """The exported model in ONNX Runtime, with as many threads as PyTorch has."""

    runtime = ONNXRUNTIME

    def __init__(self, detector: Detector, precision: str, cache: Path | None = None) -> None:
        super().__init__(detector, precision, cache)
        runtime = library("onnxruntime", "onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        if detector.device == "cuda":
            runtime.preload_dlls()  # of CUDA and cuDNN, where they came as Python packages
        self._session = runtime.InferenceSession(
            onnx_model(detector, precision, cache), options, providers=providers(detector.device)
        )
        # Where its libraries for the GPU cannot be loaded it goes on with the processor, without an error.
        if detector.device == "cuda" and set(self._session.get_providers()) == {PROVIDERS[-1]}:
            raise EngineUnavailable(
                "ONNX Runtime cannot load its libraries for CUDA (their versions must fit: see its log), and would use "
                "the processor; use runtime torch."
            )

    @classmethod
    def precisions(cls, detector: Detector) -> tuple[str, ...]:
        providers(detector.device)
        for name in ("onnx", "onnxscript"):
            library(name, name)
        return (FP32, INT8)

    def maps(self, images: torch.Tensor) -> np.ndarray:
        try:
            return np.asarray(self._session.run(OUTPUTS[:1], {INPUT: images.numpy()})[0])
        except Exception as error:
            # The library's own exceptions have no common class that it shows to the outside.
            if "allocate memory" in str(error):
                raise MemoryError(str(error)) from error
            raise


def providers(device: str) -> list[str]:
    """What ONNX Runtime may use for "cpu" or "cuda", best first.

    Raises:
        EngineUnavailable: without the library, and for "cuda" when the one that is installed knows no GPU.
    """
    available = library("onnxruntime", "onnxruntime").get_available_providers()
    if device == "cpu":
        return [PROVIDERS[-1]]
    names = [name for name in PROVIDERS if name in available]
    if len(names) < 2:
        raise EngineUnavailable(
            "The ONNX Runtime that is installed knows no GPU: install onnxruntime-gpu in its place, or use device=cpu."
        )
    return names
