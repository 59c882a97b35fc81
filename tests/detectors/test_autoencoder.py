"""The autoencoder's own promises: the best checkpoint, the map's definition, both kinds of decoder."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import ndimage

from modelzoo.detectors import artifacts, registry
from modelzoo.detectors.autoencoder import ConvAutoencoder, ReconstructionNetwork, _rate
from modelzoo.detectors.errors import DetectorError
from tests.detectors.conftest import TensorSource, textured


def quick(**options) -> ConvAutoencoder:
    options = {"image_size": 64, "epochs": 6, "latent_dim": 16, "learning_rate": 3e-3, "batch_size": 8} | options
    detector = registry.create("autoencoder", device="cpu", **options)
    assert isinstance(detector, ConvAutoencoder)
    return detector


@pytest.fixture(scope="module")
def fitted():
    return quick().fit(TensorSource(textured(20)))


@pytest.mark.parametrize("skip_connections", [False, True])
def test_reconstruction_has_the_shape_and_range_of_the_input(skip_connections):
    network = ReconstructionNetwork((48, 80), 7, skip_connections).eval()
    with torch.inference_mode():
        output = network(torch.rand(2, 3, 48, 80))
    assert output.shape == (2, 3, 48, 80)
    assert 0 <= float(output.min()) <= float(output.max()) <= 1


def test_without_skip_connections_everything_passes_the_bottleneck():
    """With the latent vector cut, the output no longer depends on the input."""
    for skip_connections, depends in ((False, False), (True, True)):
        torch.manual_seed(0)
        network = ReconstructionNetwork((32, 32), 7, skip_connections).eval()
        torch.nn.init.zeros_(network.decode.weight)
        with torch.inference_mode():
            first, second = network(torch.rand(2, 3, 32, 32))
        assert torch.equal(first, second) is not depends


def test_the_map_is_the_blurred_squared_residual(fitted):
    images = textured(2, seed=3)
    with torch.inference_mode():
        original = images.float() / 255
        residual = (fitted._network(original) - original).square().mean(1).numpy()
    expected = [ndimage.gaussian_filter(m, fitted.config.sigma, mode="mirror", truncate=4) for m in residual]
    np.testing.assert_allclose(fitted.score(images).maps, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("skip_connections", [False, True])
def test_training_lowers_the_loss_and_the_best_epoch_is_kept(skip_connections):
    # A step size high enough that the last epoch need not be the best.
    detector = quick(skip_connections=skip_connections, epochs=8).fit(TensorSource(textured(20)))
    losses = [epoch["held_out_loss"] for epoch in detector.history]
    assert len(losses) == 8
    assert [epoch["epoch"] for epoch in detector.history] == list(range(1, 9))
    assert detector.history[-1]["train_loss"] < detector.history[0]["train_loss"]
    held_out = torch.randperm(20, generator=torch.Generator().manual_seed(0))[:4].sort().values
    images = textured(20)[held_out]
    with torch.inference_mode():
        kept = float(detector._residuals(images).mean())
    assert kept == pytest.approx(min(losses), rel=1e-4)
    np.testing.assert_allclose(detector.held_out_scores, detector.score(images).scores, rtol=1e-5)


def test_a_worse_last_epoch_does_not_replace_a_better_one(monkeypatch):
    detector = quick(epochs=3)
    values = iter([3.0, 1.0, 2.0])
    states = []

    def pretended(batches):
        list(batches)
        states.append({name: tensor.clone() for name, tensor in detector._network.state_dict().items()})
        return next(values)

    monkeypatch.setattr(detector, "_held_out_loss", pretended)
    detector.fit(TensorSource(textured(10)))
    final = detector._network.state_dict()
    assert all(torch.equal(final[name], tensor) for name, tensor in states[1].items())
    assert any(not torch.equal(final[name], tensor) for name, tensor in states[2].items())


def test_held_out_images_are_never_trained_on(monkeypatch):
    """Make the held-out images absurd: the training loss must not notice them."""
    images = textured(20)
    held_out = torch.randperm(20, generator=torch.Generator().manual_seed(0))[:4]
    spoiled = images.clone()
    spoiled[held_out] = 255
    clean, dirty = (quick(epochs=2).fit(TensorSource(x)) for x in (images, spoiled))
    for a, b in zip(clean.history, dirty.history, strict=True):
        assert a["train_loss"] == b["train_loss"]
        assert b["held_out_loss"] > a["held_out_loss"]


def test_each_image_is_decoded_once_however_many_epochs_there_are():
    source = TensorSource(textured(10))
    quick(epochs=3).fit(source)
    assert source.reads.tolist() == [1] * 10


def test_divergence_is_a_sentence(monkeypatch):
    detector = quick(epochs=1)
    monkeypatch.setattr(detector, "_held_out_loss", lambda batches: float("nan"))
    with pytest.raises(DetectorError, match="lower the learning rate"):
        detector.fit(TensorSource(textured(4)))


@pytest.mark.parametrize("total", [1, 2, 10, 1000])
def test_learning_rate_warms_up_and_falls(total):
    rates = [_rate(step, total) for step in range(total)]
    assert max(rates) == 1.0
    assert min(rates) > 0
    peak = rates.index(1.0)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)


AGAIN = """
import sys, torch
from modelzoo.detectors import artifacts
from tests.detectors.conftest import textured
torch.set_num_threads(int(sys.argv[2]))
print(artifacts.load(__import__("pathlib").Path(sys.argv[1])).score(textured(3, seed=4)).scores.tobytes().hex())
"""


def test_a_new_process_scores_bit_for_bit_the_same(fitted, tmp_path):
    info = artifacts.save(fitted, tmp_path / "model", {"run": 1})
    command = [sys.executable, "-c", AGAIN, str(info.path), str(torch.get_num_threads())]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == fitted.score(textured(3, seed=4)).scores.tobytes().hex()
    assert json.loads((info.path / "manifest.json").read_text())["metadata"] == {"run": 1}
