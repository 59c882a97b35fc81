"""Whether a GPU gives the scores of the CPU: the models are fitted on the CPU, scored on both, and fitted on both."""

from __future__ import annotations

import time

import numpy as np
import torch

from modelzoo.detectors import artifacts
from modelzoo.detectors.base import Detector
from modelzoo.detectors.engines.base import MAX_SCORE_SHIFT
from modelzoo.detectors.engines.selection import MAX_AUTO_SCORE_SHIFT
from training.benchmarks.gpu.precisions import tf32
from training.benchmarks.gpu.report import Reporter
from training.benchmarks.gpu.setting import CUDA, Parts, Setting, score_shift

# Of good parts' scores, in their spreads, as ADR 6 has it; of defective parts' scores, as a share of them. Float32 on
# both sides differs by the order of summation alone; convolutions in TF32, PyTorch's default, by a precision.
STRICT, AS_IT_COMES = "float32", "as PyTorch comes"
MAX_SHIFT = {STRICT: 0.02, AS_IT_COMES: MAX_AUTO_SCORE_SHIFT}
MAX_SHARE = {STRICT: 0.001, AS_IT_COMES: 0.02}
MAX_AUROC_DIFFERENCE = 0.02


def fit(setting: Setting, reporter: Reporter) -> None:
    """Every model on the CPU; the other sections load them from the folder of the run."""
    reporter.row(resnet18_weights=setting.provide_weights())
    source = Parts(setting.parts(setting.sizes.train))
    for model in setting.options():
        start = time.perf_counter()
        detector = setting.create(model, "cpu").fit(source)
        seconds = time.perf_counter() - start
        info = artifacts.save(detector, setting.artifact(model), {})
        scores = detector.score(setting.test_parts()).scores
        spread = float(np.std(detector.held_out_scores))
        reporter.row(
            model=model,
            fit_seconds=seconds,
            artifact_mb=info.size_bytes / 1e6,
            auroc=_auroc(scores),
            spread=spread,
        )
        reporter.check(f"{model}: scores are numbers with a spread", float(not np.isfinite(scores).all()), 0.0)
        reporter.check(f"{model}: good parts have a spread", float(not spread > 0), 0.0)


def correctness(setting: Setting, reporter: Reporter) -> None:
    """Scores of the same images on the device and on the CPU, of one model and of one fitted there."""
    images = setting.test_parts()
    for model in setting.options():
        expected = setting.detector(model, "cpu").score(images).scores
        detector = setting.detector(model)
        for way in (STRICT, AS_IT_COMES):
            with tf32(convolutions=way == AS_IT_COMES, products=False):
                scores = detector.score(images).scores
            moved, share = _differences(detector, scores, expected)
            reporter.row(model=model, way=way, moved=moved, share_of_defective=share)
            reporter.check(f"{model}: good parts, {way}", moved, MAX_SHIFT[way])
            reporter.check(f"{model}: defective parts, {way}", share, MAX_SHARE[way])
        alone = np.concatenate([detector.score(image[None]).scores for image in images[:8]])
        reporter.check(f"{model}: alone", score_shift(detector, alone, scores[:8]), MAX_SHIFT[AS_IT_COMES])
        _check_fit(setting, reporter, model, images, expected)


def _check_fit(setting: Setting, reporter: Reporter, model: str, images: torch.Tensor, expected: np.ndarray) -> None:
    """A model that is fitted on the device, beside the one fitted on the CPU.

    PaDiM is sums, which may move by what a precision may. A coreset and epochs are chains of choices, where one
    rounding changes all that follow: with a network in bfloat16 such a model moves good parts by half a spread.
    """
    source = Parts(setting.parts(setting.sizes.train))
    start = time.perf_counter()
    detector = setting.create(model, setting.device).fit(source)
    seconds = time.perf_counter() - start
    scores = detector.score(images).scores
    moved, share = _differences(setting.detector(model, "cpu"), scores, expected)
    auroc = _auroc(scores)
    reporter.row(
        model=model,
        way=f"fitted on {setting.device}",
        moved=moved,
        share_of_defective=share,
        auroc=auroc,
        fit_seconds=seconds,
    )
    limit = MAX_AUTO_SCORE_SHIFT if detector.algorithm == "padim" else MAX_SCORE_SHIFT
    reporter.check(f"{model}: fitted there, good parts", moved, limit)
    reporter.check(f"{model}: fitted there, AUROC", abs(auroc - _auroc(expected)), MAX_AUROC_DIFFERENCE)
    if setting.device == CUDA:
        again = setting.create(model, CUDA).fit(source).score(images).scores
        moved, share = _differences(detector, again, scores)
        reporter.row(model=model, way="fitted there once more", moved=moved, share_of_defective=share)


def _differences(detector: Detector, scores: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """Of test parts: how far good ones moved, in their spread, and defective ones, as a share of their scores."""
    good, defective = (slice(None, len(scores) // 2), slice(len(scores) // 2, None))
    share = np.abs(scores / expected - 1)[defective].max()
    return score_shift(detector, scores[good], expected[good]), float(share)


def _auroc(scores: np.ndarray) -> float:
    """Of test parts: the second half is defective."""
    good, defective = np.split(scores, 2)
    higher = (defective[:, None] > good).mean() + 0.5 * (defective[:, None] == good).mean()
    return float(higher)
