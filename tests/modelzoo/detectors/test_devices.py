"""Detectors on a GPU, where there is none: on a pretend one, with every algorithm and what changes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from modelzoo.detectors import registry
from modelzoo.detectors.autoencoder.network import ReconstructionNetwork, training_precision
from modelzoo.detectors.engines.base import BF16, FP32
from modelzoo.detectors.engines.portable import Portable
from modelzoo.detectors.engines.selection import open_scorer
from modelzoo.detectors.errors import DetectorError
from modelzoo.detectors.preprocessing.ignore_mask import PaintedMask
from tests.modelzoo.detectors.conftest import ImagesInMemory, TensorSource, textured, with_defect
from tests.modelzoo.detectors.pretend_gpu import patch_cuda
from tests.modelzoo.detectors.test_contract import QUICK, SIZE

# Options that take other lines of a detector's code.
MORE: dict[str, list[dict[str, Any]]] = {
    "padim": [
        {"reduction": "pca"},
        {"reduction": "orthogonal", "position_scale": False},
        {"tile": 64, "tile_overlap": 32},
    ],
    "patchcore": [{"sampling": "random", "neighbours": 3}, {"probes": 0, "projection": 8}],
    "autoencoder": [{"corruption": "mask", "skip_connections": True}, {"corruption": "stain", "loss": "ssim+mse"}],
}
CASES = [(name, options) for name in QUICK for options in ({}, *MORE[name])]


@pytest.fixture
def gpu(monkeypatch):
    yield from patch_cuda(monkeypatch)


def fitted(algorithm: str, device: str, **options: Any):
    own = QUICK[algorithm] | ({"epochs": 2, "precision": "fp32"} if algorithm == "autoencoder" else {})
    return registry.create(algorithm, device=device, **({"image_size": SIZE} | own | options))


@pytest.mark.parametrize(("algorithm", "options"), CASES, ids=str)
def test_a_detector_on_a_gpu_is_that_of_the_cpu(algorithm, options, gpu):
    images = torch.cat((textured(2, *SIZE, seed=3), with_defect(textured(2, *SIZE, seed=4))))
    on_cpu, on_gpu = (
        fitted(algorithm, device, **options).fit(TensorSource(textured(12, *SIZE))) for device in ("cpu", "cuda")
    )
    expected = on_cpu.score(images).scores
    np.testing.assert_allclose(on_gpu.score(images).scores, expected, rtol=1e-3)
    np.testing.assert_allclose(on_gpu.held_out_scores, on_cpu.held_out_scores, rtol=1e-3)
    assert all(tensor.device.type == "cpu" for tensor in on_gpu.state().values())
    restored = type(on_cpu).restore(on_cpu.describe(), on_cpu.state(), "cuda")
    np.testing.assert_allclose(restored.score(images).scores, expected, rtol=1e-3)
    np.testing.assert_allclose(restored.to("cpu").score(images).scores, expected, rtol=1e-3)
    np.testing.assert_allclose(on_cpu.to("cuda").score(images).scores, expected, rtol=1e-3)


@pytest.mark.parametrize("algorithm", QUICK)
def test_ignored_regions_on_a_gpu(algorithm, gpu):
    images = [Image.fromarray(array) for array in textured(12, *SIZE).permute(0, 2, 3, 1).numpy()]
    mask = np.zeros(SIZE, dtype=bool)
    mask[:32, :40] = True
    scores = []
    for device in ("cpu", "cuda"):
        detector = fitted(algorithm, device, illumination="none", align="none")
        detector.fit(ImagesInMemory(images, detector.preprocessing), ignore=PaintedMask(mask))
        restored = type(detector).restore(detector.describe(), detector.state(), device)
        scores += [each.score(textured(2, *SIZE, seed=3)).scores for each in (detector, restored)]
    for others in scores[1:]:
        np.testing.assert_allclose(others, scores[0], rtol=1e-3)


@pytest.mark.parametrize("algorithm", QUICK)
@pytest.mark.parametrize("precision", [FP32, BF16])
def test_an_engine_on_a_gpu(algorithm, precision, gpu):
    detector = fitted(algorithm, "cuda").fit(TensorSource(textured(12, *SIZE)))
    images = textured(3, *SIZE, seed=3)
    scored = open_scorer(detector, precision=precision).score(images)
    spread = detector.held_out_scores.std()
    assert np.abs(scored.scores - detector.score(images).scores).max() <= spread


@pytest.mark.parametrize("algorithm", QUICK)
def test_the_portable_module_on_a_gpu(algorithm, gpu):
    detector = fitted(algorithm, "cuda", **({"probes": 0} if algorithm == "patchcore" else {}))
    detector.fit(TensorSource(textured(12, *SIZE)))
    images = textured(3, *SIZE, seed=3)
    with torch.inference_mode():
        maps, scores = Portable(detector)(images.to("cuda"))
    assert maps.device.type == "cuda"
    np.testing.assert_allclose(scores.cpu().numpy(), detector.score(images).scores, rtol=1e-3)


def test_training_on_a_gpu_uses_cudnn_and_is_repeatable(gpu, monkeypatch):
    forward, flags = ReconstructionNetwork.forward, set()

    def noting(self, *arguments):
        if self.training:
            flags.add((torch.backends.cudnn.enabled, torch.backends.cudnn.deterministic))
        return forward(self, *arguments)

    monkeypatch.setattr(ReconstructionNetwork, "forward", noting)
    fitted("autoencoder", "cuda").fit(TensorSource(textured(6, *SIZE)))
    assert flags == {(True, True)}


def test_training_takes_bf16_by_itself_where_the_gpu_computes_it(gpu, monkeypatch):
    assert training_precision("auto", "cuda") is torch.bfloat16
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert training_precision("auto", "cuda") is torch.float32
    assert training_precision("bf16", "cuda") is torch.bfloat16
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: False)
    with pytest.raises(DetectorError, match="not to be had on this GPU"):
        training_precision("bf16", "cuda")


def test_more_images_are_learnt_on_a_gpu(gpu):
    first, second = TensorSource(textured(12, *SIZE)), TensorSource(textured(6, *SIZE, seed=1))
    on_cpu, on_gpu = (fitted("padim", device).fit(first).partial_fit(second) for device in ("cpu", "cuda"))
    images = textured(2, *SIZE, seed=3)
    np.testing.assert_allclose(on_gpu.score(images).scores, on_cpu.score(images).scores, rtol=1e-3)


def test_the_pretend_gpu_refuses_what_a_real_one_refuses(gpu):
    on_gpu, on_cpu = torch.ones(2, 2, device="cuda"), torch.ones(2, 2)
    assert (on_gpu.device.type, on_gpu.cpu().device.type, (on_gpu + 1).device.type) == ("cuda", "cpu", "cuda")
    assert torch.nn.Linear(2, 2).to("cuda")(on_gpu).is_cuda
    for refused in (
        lambda: on_gpu + on_cpu,
        lambda: on_cpu[on_gpu.long()],
        lambda: on_gpu.numpy(),
        lambda: np.asarray(on_gpu),
        lambda: on_gpu.to_mkldnn(),
        lambda: torch.rand(2, generator=torch.Generator(), device="cuda"),
    ):
        with pytest.raises((RuntimeError, TypeError)):
            refused()
