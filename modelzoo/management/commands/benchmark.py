"""`manage.py benchmark speed`: how fast a trained version is on this machine."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from modelzoo import runtime
from modelzoo.models import ModelVersion
from modelzoo.selectors import find_version
from mvtec_site.commands import ProductCommand

_BATCHES = (1, 8, 16)
_SIDE = 512  # pixels of the images that are decoded, as a camera's crop


class Command(ProductCommand):
    help = "Measure a version: model alone and image bytes to score. Compare figures of one run on one machine only."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", choices=["speed"])
        parser.add_argument("--model-version", default="latest", help="an id, or latest (default)")
        parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="")
        parser.add_argument("--rounds", type=int, default=9, help="the median of this many is reported")
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        version = find_version(wanted=options["model_version"])
        began = time.perf_counter()
        held = runtime.hold(version, options["device"])
        load_seconds = time.perf_counter() - began
        rows = [self._row(version, held, batch, max(1, options["rounds"])) for batch in _BATCHES]
        document = {
            "model_version": version.pk,
            "artifact_mb": round(version.artifact_bytes / 1e6, 1),
            "load_seconds": round(load_seconds, 3),
            "rows": rows,
        }
        if options["json"]:
            self.answer(document)
            return
        self.stdout.write(f"{version}, artifact {document['artifact_mb']} MB, loaded in {load_seconds:.2f} s")
        for row in rows:
            self.stdout.write(
                f"  batch {row['batch']:>2}: model {row['model_ms']:7.2f} ms/image, bytes to score "
                f"{row['bytes_to_verdict_ms']:7.2f} ms/image, {row['images_per_second']:6.1f} images/s, "
                f"peak {row['peak_mb']:.0f} MB"
            )

    def _row(self, version: ModelVersion, held: runtime.Held, batch: int, rounds: int) -> dict[str, Any]:
        import torch

        random = np.random.default_rng(0)
        height, width = held.detector.config.image_size
        pixels = torch.from_numpy(random.integers(0, 256, (batch, 3, height, width), dtype=np.uint8))
        # Smooth, so that the PNG is neither trivial nor incompressible.
        pictures = [
            cv2.GaussianBlur(random.integers(0, 256, (_SIDE, _SIDE, 3), np.uint8), (9, 9), 0) for _ in range(batch)
        ]
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
