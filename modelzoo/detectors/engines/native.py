"""PyTorch itself, and PyTorch's compiler."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import torch

from modelzoo.detectors.base import Detector
from modelzoo.detectors.engines.base import BF16, COMPILED, FP32, TORCH, Engine, EngineUnavailable

# PyTorch's allocator has an error of its own; what CUDA, cuBLAS and cuDNN take beside it is refused in these words.
_MEMORY_IS_FULL = ("out of memory", "ALLOC_FAILED")


class TorchEngine(Engine):
    """The detector's own pass. On a GPU images travel from pinned memory."""

    runtime = TORCH

    def __init__(self, detector: Detector, precision: str, cache: Path | None = None) -> None:
        super().__init__(detector, precision, cache)
        self.map_function = detector.map_function(precision)

    @classmethod
    def precisions(cls, detector: Detector) -> tuple[str, ...]:
        return (FP32, BF16) if _has_bf16(detector.device) else (FP32,)

    def maps(self, images: torch.Tensor) -> np.ndarray:
        try:
            with torch.inference_mode():
                if self.detector.device == "cuda":
                    images = images.pin_memory().to("cuda", non_blocking=True)
                return np.asarray(self.map_function(images).cpu().numpy())
        except RuntimeError as error:
            if not isinstance(error, torch.OutOfMemoryError) and not any(
                words in str(error) for words in _MEMORY_IS_FULL
            ):
                raise
            torch.cuda.empty_cache()
            raise MemoryError(str(error)) from error


class CompiledEngine(TorchEngine):
    """The portable pass through `torch.compile`: fused by the compiler that is on the machine, on a GPU replayed as a
    CUDA graph. It is compiled here and now, for one image and for several, so that no image waits for it."""

    runtime = COMPILED

    def __init__(self, detector: Detector, precision: str, cache: Path | None = None) -> None:
        super().__init__(detector, precision, cache)
        if detector.device == "cpu" and not (shutil.which("g++") or shutil.which("clang++")):
            raise EngineUnavailable("torch.compile needs a C++ compiler on this machine; use runtime torch.")
        mode = "reduce-overhead" if detector.device == "cuda" else "default"
        dtype = torch.bfloat16 if precision == BF16 else torch.float32
        self.map_function = torch.compile(partial(detector.portable_maps, precision=dtype), mode=mode)
        for images in (detector.reference_images[:1], detector.reference_images[:2]):
            self.maps(images)


def _has_bf16(device: str) -> bool:
    """Whether bfloat16 is computed by the hardware; emulated it would be slower than float32."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()
