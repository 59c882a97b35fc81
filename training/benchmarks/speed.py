"""How fast a trained version is: the model alone, and image bytes to score."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from modelzoo import runtime
from modelzoo.models import ModelVersion

_BATCHES = (1, 8, 16)
_SIDE = 512  # pixels of the images that are decoded, as a camera's crop


def measure(version: ModelVersion, device: str, rounds: int) -> dict[str, Any]:
    """Figures of one version on this machine; compare those of one run only."""
    began = time.perf_counter()
    held = runtime.hold(version, device)
    load_seconds = time.perf_counter() - began
    return {
        "model_version": version.pk,
        "artifact_mb": round(version.artifact_bytes / 1e6, 1),
        "load_seconds": round(load_seconds, 3),
        "rows": [_row(version, held, batch, max(1, rounds)) for batch in _BATCHES],
    }


def as_text(document: dict[str, Any]) -> str:
    """The figures as lines for a terminal."""
    lines = [f"artifact {document['artifact_mb']} MB, loaded in {document['load_seconds']:.2f} s"]
    lines += [
        f"  batch {row['batch']:>2}: model {row['model_ms']:7.2f} ms/image, bytes to score "
        f"{row['bytes_to_verdict_ms']:7.2f} ms/image, {row['images_per_second']:6.1f} images/s, "
        f"peak {row['peak_mb']:.0f} MB"
        for row in document["rows"]
    ]
    return "\n".join(lines)


def _row(version: ModelVersion, held: runtime.Held, batch: int, rounds: int) -> dict[str, Any]:
    import torch

    random = np.random.default_rng(0)
    height, width = held.detector.input_size
    pixels = torch.from_numpy(random.integers(0, 256, (batch, 3, height, width), dtype=np.uint8))
    # Smooth, so that the PNG is neither trivial nor incompressible.
    pictures = [cv2.GaussianBlur(random.integers(0, 256, (_SIDE, _SIDE, 3), np.uint8), (9, 9), 0) for _ in range(batch)]
    encoded = [cv2.imencode(".png", picture)[1].tobytes() for picture in pictures]
    model = _median_ms(lambda: held.detector.score(pixels), rounds) / batch
    whole = _median_ms(lambda: runtime.score(held, encoded), rounds) / batch
    # Kilobytes on Linux, bytes on macOS.
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return {
        "detector": version.algorithm,
        "runtime": "torch",
        "precision": "fp32",
        "batch": batch,
        "model_ms": round(model, 3),
        "bytes_to_verdict_ms": round(whole, 3),
        "images_per_second": round(1000 / whole, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1),
    }


def _median_ms(call: Callable[[], object], rounds: int) -> float:
    """Median of `rounds` calls in milliseconds, after two that only warm up."""
    times = []
    for index in range(rounds + 2):
        began = time.perf_counter()
        call()
        if index >= 2:
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000
