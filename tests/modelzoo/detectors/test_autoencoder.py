"""The autoencoder's own promises: the best checkpoint, the map's definition, both kinds of decoder, what it may see."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from modelzoo.detectors import artifacts, registry
from modelzoo.detectors.autoencoder.corruption import add_stains, random_masks, scoring_masks
from modelzoo.detectors.autoencoder.detector import ConvAutoencoder, epoch_order, held_out_blocks
from modelzoo.detectors.autoencoder.distributed import ProcessGroup
from modelzoo.detectors.autoencoder.network import (
    AutoencoderConfig,
    ReconstructionNetwork,
    Trainer,
    learning_rate_factor,
    reconstruction_loss,
    training_precision,
)
from modelzoo.detectors.autoencoder.residuals import FLOOR, PRIOR, ResidualSums
from modelzoo.detectors.autoencoder.ssim import ssim
from modelzoo.detectors.errors import DetectorError
from modelzoo.detectors.smoothing import Smoothing
from tests.modelzoo.detectors.conftest import TensorSource, textured


def quick(**options) -> ConvAutoencoder:
    options = {"image_size": 64, "epochs": 6, "latent_dim": 16, "learning_rate": 3e-4, "batch_size": 8} | options
    detector = registry.create("autoencoder", device="cpu", **options)
    assert isinstance(detector, ConvAutoencoder)
    return detector


def held_out_of(n: int, seed: int = 0) -> list[list[int]]:
    """The runs that a fit of `n` images with this seed keeps out."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return held_out_blocks(n, 0.2)


@pytest.fixture(scope="module")
def fitted():
    return quick(image_size=(64, 96)).fit(TensorSource(textured(20, 64, 96)))


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


def blurred_residuals(detector: ConvAutoencoder, images: torch.Tensor) -> np.ndarray:
    """float64 [B,H,W] by another road: areas averaged by hand, OpenCV-free enlarging, scipy's blur."""
    n, _, height, width = images.shape
    small = images.double().reshape(n, 3, height // 2, 2, width // 2, 2).mean((3, 5)) / 255
    with torch.inference_mode():
        residual = (detector._network(small.float()) - small).abs().mean(1, keepdim=True)
    large = nn.Upsample(scale_factor=2, mode="bilinear")(residual)[:, 0].numpy()
    return np.stack([ndimage.gaussian_filter(m, detector.config.sigma, mode="mirror", truncate=4) for m in large])


def test_the_map_says_how_far_the_blurred_residual_lies_above_what_is_usual_there(fitted):
    """Half the resolution, blurred absolute residuals, minus the held-out images' mean, in their floored spread."""
    train, images = textured(20, 64, 96), textured(2, 64, 96, seed=3)
    held_out = [index for block in held_out_of(20) for index in block]
    statistics = blurred_residuals(fitted, train[held_out])
    mean = statistics.mean(0)
    variance = (((statistics - mean) ** 2).sum(0) + PRIOR * mean.mean() ** 2) / (len(statistics) - 1 + PRIOR)
    spread = np.sqrt(ndimage.gaussian_filter(variance, fitted.config.sigma, mode="mirror", truncate=4))
    expected = (blurred_residuals(fitted, images) - mean) / (spread + FLOOR * spread.mean() + 1e-4)
    np.testing.assert_allclose(fitted.score(images).maps, expected.clip(min=0), rtol=1e-3, atol=1e-3)
    assert (expected < 0).any()
    assert (expected > 0).any()


def test_held_out_scores_are_cross_fitted(fitted):
    """Each run of held-out images is scored with what is usual in the other runs alone."""
    train, blocks = textured(20, 64, 96), held_out_of(20)
    assert len(blocks) == 4
    scores = []
    for block in blocks:
        others = ResidualSums((64, 96))
        with torch.inference_mode():
            others.add(fitted._residuals(train[[index for other in blocks if other is not block for index in other]]))
            statistics = others.statistics(Smoothing((64, 96), (64, 96), fitted.config.sigma))
            scores += statistics.deviations(fitted._residuals(train[block])).amax((1, 2)).tolist()
    np.testing.assert_allclose(fitted.held_out_scores, scores, rtol=1e-4)
    in_sample = fitted.score(train[[index for block in blocks for index in block]]).scores
    assert fitted.held_out_scores.mean() > in_sample.mean()


def test_a_position_that_always_differs_is_forgiven():
    """Where good parts are redrawn badly, the same residual counts for less."""
    torch.manual_seed(0)
    residuals = 0.01 * torch.rand(30, 24, 24)
    residuals[:, :, 12:] *= 8
    moments = ResidualSums((24, 24))
    moments.add(residuals)
    statistics = moments.statistics(Smoothing((24, 24), (24, 24), 1.0))
    deviations = statistics.deviations(torch.full((1, 24, 24), 0.1))[0]
    assert deviations[:, :8].min() > 3 * deviations[:, 16:].max()
    assert statistics.deviations(torch.zeros(1, 24, 24)).eq(0).all()


def test_one_image_does_not_claim_that_nothing_varies():
    moments = ResidualSums((16, 16))
    moments.add(torch.full((1, 16, 16), 0.02))
    statistics = moments.statistics(Smoothing((16, 16), (16, 16), 1.0))
    assert float(statistics.spread.min()) > 0.02
    blank = ResidualSums((16, 16))
    blank.add(torch.zeros(3, 16, 16))
    assert float(blank.statistics(Smoothing((16, 16), (16, 16), 1.0)).spread.min()) > 0


@pytest.mark.parametrize(("skip_connections", "corruption"), [(False, "none"), (False, "stain"), (True, "mask")])
def test_training_lowers_the_loss_and_the_best_epoch_is_kept(skip_connections, corruption):
    # A step size high enough that the last epoch need not be the best.
    options = {"skip_connections": skip_connections, "corruption": corruption, "epochs": 8}
    detector = quick(**options).fit(TensorSource(textured(20)))
    losses = [epoch["held_out_loss"] for epoch in detector.history]
    assert [epoch["epoch"] for epoch in detector.history] == list(range(1, 9))
    assert detector.history[-1]["train_loss"] < detector.history[0]["train_loss"]
    images = textured(20)[[index for block in held_out_of(20) for index in block]]
    assert detector._held_out_loss([images]) == pytest.approx(min(losses), rel=1e-4)


def test_a_worse_epoch_does_not_replace_a_better_one_and_patience_ends_the_training(monkeypatch):
    detector = quick(epochs=30, patience=2)
    values = iter([3.0, 1.0, 2.0, 1.5])
    states = []

    def pretended(batches):
        list(batches)
        states.append({name: tensor.clone() for name, tensor in detector._network.state_dict().items()})
        return next(values)

    monkeypatch.setattr(detector, "_held_out_loss", pretended)
    detector.fit(TensorSource(textured(10)))
    assert [epoch["held_out_loss"] for epoch in detector.history] == [3.0, 1.0, 2.0, 1.5]
    final = detector._network.state_dict()
    assert all(torch.equal(final[name], tensor) for name, tensor in states[1].items())
    assert any(not torch.equal(final[name], tensor) for name, tensor in states[3].items())


def test_held_out_images_are_never_trained_on():
    """Make the held-out images absurd: the training loss must not notice them."""
    images = textured(20)
    spoiled = images.clone()
    spoiled[[index for block in held_out_of(20) for index in block]] = 255
    clean, dirty = (quick(epochs=2).fit(TensorSource(x)) for x in (images, spoiled))
    for a, b in zip(clean.history, dirty.history, strict=True):
        assert a["train_loss"] == b["train_loss"]
        assert b["held_out_loss"] > a["held_out_loss"]


@pytest.mark.parametrize("n", [2, 3, 5, 7, 20, 101])
def test_held_out_images_come_in_separate_runs(n):
    for seed in range(20):
        blocks = held_out_of(n, seed)
        flat = [index for block in blocks for index in block]
        assert len(flat) == max(1, round(0.2 * n))
        assert flat == sorted(set(flat))
        assert 0 <= flat[0] <= flat[-1] < n
        assert all(block == list(range(block[0], block[-1] + 1)) for block in blocks)
    assert n < 20 or held_out_of(n, 0) != held_out_of(n, 1)


def test_every_batch_of_an_epoch_is_full_and_no_image_is_left_out():
    torch.manual_seed(0)
    order = epoch_order(list(range(10, 27)), 5)
    assert len(order) == 20
    assert set(order) == set(range(10, 27))
    assert max(order.count(index) for index in order) == 2
    assert order != epoch_order(list(range(10, 27)), 5)


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
    rates = [learning_rate_factor(step, total) for step in range(total)]
    assert rates[0] == 1
    assert max(rates) <= 10
    assert min(rates) > 0
    peak = rates.index(max(rates))
    assert total < 10 or max(rates) == 10
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)


def test_stains_change_some_blobs_and_leave_the_rest_alone():
    torch.manual_seed(0)
    images = textured(40, 64, 96)
    result = add_stains(images)
    assert result.dtype == torch.uint8
    # The soft edge fades to less than a grey level; what lies outside stays as it was.
    difference = (result.int() - images.int()).abs().amax(1)
    changed = (difference > 8).float().mean((1, 2))
    assert 0.01 < float(changed.mean()) < 0.2
    assert float((difference <= 1).float().mean()) > 0.5
    assert not torch.equal(result, add_stains(images))
    # Blobs hang together: a changed pixel's right neighbour is nearly always changed too.
    marked = difference > 8
    assert float((marked[:, :, 1:] & marked[:, :, :-1]).sum() / marked[:, :, :-1].sum()) > 0.8


def test_masks_hide_three_quarters_of_the_squares():
    generator = torch.Generator().manual_seed(0)
    drawn = random_masks(200, (48, 80), generator)
    assert drawn.shape == (200, 1, 48, 80)
    assert 0.7 < float(drawn.mean()) < 0.8
    assert not torch.equal(drawn, random_masks(200, (48, 80), generator))
    turns = scoring_masks((48, 80))
    assert turns.sum(0).eq(3).all()
    assert torch.equal(turns, scoring_masks((48, 80)))
    for masks in (drawn, turns):
        squares = masks.unflatten(-2, (3, 16)).unflatten(-1, (5, 16))
        assert torch.equal(squares.amin((-3, -1)), squares.amax((-3, -1)))


def test_what_is_hidden_passes_no_skip_connection():
    """With the bottleneck cut, the output depends on what is seen and on nothing that is hidden."""
    torch.manual_seed(0)
    network = ReconstructionNetwork((64, 96), 7, skip_connections=True).eval()
    torch.nn.init.zeros_(network.decode.weight)
    hidden = scoring_masks((64, 96))[:1]
    image, other = torch.rand(2, 1, 3, 64, 96)
    with torch.inference_mode():
        before = network(image, hidden)
        assert torch.equal(network(torch.where(hidden > 0, other, image), hidden), before)
        assert not torch.equal(network(torch.where(hidden > 0, image, other), hidden), before)
        assert not torch.equal(network(torch.where(hidden > 0, other, image)), network(image))


def test_only_hidden_turns_are_compared():
    """The reconstruction is put together from four passes, each counted where its squares were hidden."""
    detector = quick(skip_connections=True, resolution=1.0, epochs=2).fit(TensorSource(textured(8)))
    image = textured(1, seed=5).float() / 255
    turns = scoring_masks((64, 64)).bool()
    with torch.inference_mode():
        passes = [detector._network(image, turn[None].float())[0] for turn in turns]
        reconstructed = detector._reconstruct(image)[0]
    for row, column in ((0, 0), (20, 50), (63, 17)):
        values = [one[:, row, column] for one, turn in zip(passes, turns, strict=True) if turn[0, row, column]]
        assert len(values) == 3
        torch.testing.assert_close(reconstructed[:, row, column], torch.stack(values).mean(0))


def test_auto_corruption_follows_the_skip_connections():
    for skip_connections, expected in ((False, "none"), (True, "mask")):
        assert AutoencoderConfig(skip_connections=skip_connections).training_corruption == expected
        assert AutoencoderConfig(skip_connections=skip_connections, corruption="stain").training_corruption == "stain"
    with pytest.raises(DetectorError, match="skip connections"):
        AutoencoderConfig(corruption="mask")


def test_similarity_is_that_of_the_paper():
    """Against the formula written out with scipy's Gaussian filter, windows that leave the image cut off."""
    generator = np.random.default_rng(0)
    a = ndimage.gaussian_filter(generator.random((2, 3, 30, 40)), (0, 0, 1, 1))
    b = np.clip(a + generator.normal(0, 0.1, a.shape), 0, 1)

    def mean(x):
        return ndimage.gaussian_filter(x, (0, 0, 1.5, 1.5), truncate=5 / 1.5)

    va, vb, vab = mean(a * a) - mean(a) ** 2, mean(b * b) - mean(b) ** 2, mean(a * b) - mean(a) * mean(b)
    full = (2 * mean(a) * mean(b) + 1e-4) * (2 * vab + 9e-4)
    full /= (mean(a) ** 2 + mean(b) ** 2 + 1e-4) * (va + vb + 9e-4)
    expected = full[:, :, 5:-5, 5:-5].mean((1, 2, 3))
    one, other = torch.from_numpy(a), torch.from_numpy(b)
    np.testing.assert_allclose(ssim(one, other).numpy(), expected, rtol=1e-9)
    np.testing.assert_allclose(ssim(one, one).numpy(), 1, rtol=1e-9)
    mse = (one - other).square().mean((1, 2, 3))
    torch.testing.assert_close(reconstruction_loss(one, other, "mse"), mse)
    torch.testing.assert_close(reconstruction_loss(one, other, "ssim+mse"), mse + 0.01 * (1 - torch.tensor(expected)))


def test_the_structural_loss_trains_and_is_what_the_history_shows():
    detector = quick(loss="ssim+mse", epochs=4).fit(TensorSource(textured(10)))
    plain = quick(loss="mse", epochs=4).fit(TensorSource(textured(10)))
    assert detector.history[-1]["held_out_loss"] < detector.history[0]["held_out_loss"]
    assert detector.history[0]["train_loss"] > plain.history[0]["train_loss"]


def one_step(**options) -> tuple[list[float], dict[str, torch.Tensor]]:
    config = AutoencoderConfig(image_size=(32, 48), latent_dim=8, **options)
    torch.manual_seed(0)
    trainer = Trainer(config, (32, 48), 4, ProcessGroup(0, 1, "cpu"))
    batch = textured(4, 32, 48)
    losses = [trainer.step(torch.stack((batch, batch))) for _ in range(3)]
    return losses, trainer.network.state_dict()


def test_gradient_checkpointing_changes_no_number():
    plain, state = one_step()
    checkpointed, same = one_step(gradient_checkpointing=True)
    assert checkpointed == plain
    for name, tensor in state.items():
        assert torch.equal(same[name], tensor) or name.endswith("num_batches_tracked"), name


def test_low_precision_trains_nearly_the_same():
    full, _ = one_step()
    half, state = one_step(precision="bf16")
    assert half != full
    assert half == pytest.approx(full, rel=0.02)
    assert all(tensor.dtype != torch.bfloat16 for tensor in state.values())


def test_precision_that_is_not_to_be_had_is_a_sentence():
    assert training_precision("auto", "cpu") is torch.float32
    with pytest.raises(DetectorError, match="fp16 needs a CUDA device"):
        quick(precision="fp16").fit(TensorSource(textured(4)))


def test_the_network_works_at_its_own_resolution():
    for resolution, expected in ((0.5, (80, 208)), (1.0, (160, 416)), (0.1, (32, 48))):
        assert AutoencoderConfig(resolution=resolution).network_size((160, 416)) == expected
    assert quick(resolution=1.0).fit(TensorSource(textured(4))).score(textured(1)).maps.shape == (1, 64, 64)


AGAIN = """
import sys, torch
from modelzoo.detectors import artifacts
from tests.modelzoo.detectors.conftest import textured
torch.set_num_threads(int(sys.argv[2]))
print(artifacts.load(__import__("pathlib").Path(sys.argv[1])).score(textured(3, 64, 96, seed=4)).scores.tobytes().hex())
"""


@pytest.mark.slow
def test_a_new_process_scores_bit_for_bit_the_same(fitted, tmp_path):
    info = artifacts.save(fitted, tmp_path / "model", {"run": 1})
    command = [sys.executable, "-c", AGAIN, str(info.path), str(torch.get_num_threads())]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == fitted.score(textured(3, 64, 96, seed=4)).scores.tobytes().hex()
    assert json.loads((info.path / "manifest.json").read_text())["metadata"] == {"run": 1}
