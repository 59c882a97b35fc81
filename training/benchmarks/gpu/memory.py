"""PaDiM's matrices in the GPU's memory, and what happens when that memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from modelzoo.detectors.base import FP32
from modelzoo.detectors.engines.native import TorchEngine
from modelzoo.detectors.engines.selection import Scorer
from modelzoo.detectors.padim.detector import Padim
from modelzoo.detectors.padim.gaussians import ALL_POSITIONS, UpperTriangular
from training.benchmarks.gpu.correctness import MAX_SHIFT, STRICT
from training.benchmarks.gpu.report import Reporter
from training.benchmarks.gpu.setting import CUDA, Setting, score_shift

MODEL = "padim"


class HalfMatrices(UpperTriangular):
    """The same matrices in half the bytes; what is multiplied with them is rounded as well."""

    def products(self, rows: torch.Tensor, positions: slice = ALL_POSITIONS) -> Iterator[torch.Tensor]:
        for product in super().products(rows.to(self.blocks[0].dtype), positions):
            yield product.float()


def padim_matrices(setting: Setting, reporter: Reporter) -> None:
    """Distances alone, of features that lie on the device, with the matrices in three precisions."""
    images = setting.good_parts()
    expected = setting.detector(MODEL, "cpu").score(images).scores
    detector = setting.detector(MODEL)
    assert isinstance(detector, Padim)
    gaussians = detector._gaussians
    full = gaussians.whitening
    matrices = {torch.float32: full}
    for dtype in (torch.float16, torch.bfloat16):
        matrices[dtype] = HalfMatrices([block.to(dtype) for block in full.blocks])
    positions, channels = gaussians.mean.shape
    for batch in setting.sizes.batches:
        features = torch.randn(positions, batch, channels, device=setting.device) + gaussians.mean[:, None]

        def distances(whitening: UpperTriangular, features: torch.Tensor = features) -> Callable[[], object]:
            def compute() -> object:
                gaussians.whitening = whitening
                with torch.inference_mode():
                    return gaussians.distances(features)

            return compute

        times = setting.in_turns({str(dtype): distances(whitening) for dtype, whitening in matrices.items()})
        for name, ms in times.items():
            reporter.row(
                matrices=name, batch=batch, ms_per_image=ms / batch, share_of_float32=ms / times[str(torch.float32)]
            )
    for dtype, whitening in matrices.items():
        gaussians.whitening = whitening
        scores = detector.score(images).scores
        size = sum(block.numel() * block.element_size() for block in whitening.blocks)
        reporter.row(matrices=str(dtype), mb=size / 1e6, moved=score_shift(detector, scores, expected))


def out_of_memory(setting: Setting, reporter: Reporter) -> None:
    """A batch that does not fit is scored in parts, with the same scores; the size that fits is remembered.

    On a GPU the process gets less memory than the batch needs; on the CPU the network refuses it with PyTorch's error.
    """
    detector = setting.detector(MODEL)
    engine = TorchEngine(detector, FP32)
    scorer = Scorer(detector, engine, {})
    batch = min(64, setting.sizes.batches[-1])
    images = setting.parts(batch, seed=2)
    few = max(1, batch // 8)
    expected = np.concatenate([engine.maps(part).max(axis=(1, 2)) for part in images.split(few)])
    if setting.device == CUDA:
        _limit_memory(engine, images, few, reporter)
    else:
        _refuse_more_than(engine, few)
    try:
        for _ in range(2):
            scores = scorer.score(images).scores
    finally:
        if setting.device == CUDA:
            torch.cuda.set_per_process_memory_fraction(1.0)
    reporter.row(batch=batch, cut_to=scorer._max_batch)
    reporter.check("the batch was cut", float(not 0 < scorer._max_batch < batch), 0.0)
    reporter.check("scores of the parts", score_shift(detector, scores, expected), MAX_SHIFT[STRICT])


def _limit_memory(engine: TorchEngine, images: torch.Tensor, few: int, reporter: Reporter) -> None:
    """To the middle between what a few images need and what all of them do."""
    needs = []
    for part in (images[:few], images):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        engine.maps(part)
        needs.append(torch.cuda.max_memory_reserved())
        reporter.row(images=len(part), reserved_mb=needs[-1] / 1e6)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(sum(needs) / 2 / total)


def _refuse_more_than(engine: TorchEngine, few: int) -> None:
    maps = engine.map_function

    def limited(images: torch.Tensor) -> torch.Tensor:
        if len(images) > few:
            raise torch.OutOfMemoryError("out of memory, for a dry run")
        return maps(images)

    engine.map_function = limited
