"""A training that was interrupted goes on where it was, and comes out as if nothing had been."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from modelzoo.detectors import registry
from modelzoo.detectors.autoencoder import checkpoints
from modelzoo.detectors.autoencoder.detector import ConvAutoencoder
from modelzoo.detectors.base import Detector
from tests.modelzoo.detectors.conftest import TensorSource, textured

IMAGES = textured(12, 64, 64)


class PowerCut(BaseException):
    pass


def untrained(path: Path | None, **options: object) -> ConvAutoencoder:
    small = {"image_size": 64, "epochs": 5, "latent_dim": 8, "batch_size": 4, "learning_rate": 3e-4, **options}
    detector = registry.create("autoencoder", device="cpu", **small)
    assert isinstance(detector, ConvAutoencoder)
    detector.checkpoint = path
    return detector


def fit(detector: Detector, *, cut_in_epoch: int = 0, images: torch.Tensor = IMAGES) -> list[str]:
    """What it said; with `cut_in_epoch` the process dies there."""
    said: list[str] = []

    def progress(fraction: float, sentence: str) -> None:
        said.append(sentence)
        if cut_in_epoch and sentence.startswith(f"epoch {cut_in_epoch} of"):
            raise PowerCut

    if cut_in_epoch:
        with pytest.raises(PowerCut):
            detector.fit(TensorSource(images), progress=progress)
    else:
        detector.fit(TensorSource(images), progress=progress)
    return said


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(checkpoints, "INTERVAL_SECONDS", 0.0)
    return tmp_path / "run-1.safetensors"


@pytest.mark.parametrize("corruption", ["stain", "mask"])
def test_what_was_interrupted_twice_comes_out_bit_for_bit(path: Path, corruption: str) -> None:
    options = {"corruption": corruption, "skip_connections": corruption == "mask"}
    whole = untrained(None, **options)
    fit(whole)
    fit(untrained(path, **options), cut_in_epoch=2)
    said = fit(untrained(path, **options), cut_in_epoch=4)
    assert "going on after epoch 1" in said
    resumed = untrained(path, **options)
    said = fit(resumed)
    assert "going on after epoch 3" in said
    assert not any(sentence.startswith("epoch 3 ") for sentence in said)
    assert resumed.history == whole.history
    assert list(resumed.held_out_scores) == list(whole.held_out_scores)
    expected = whole.state()
    for name, tensor in resumed.state().items():
        assert torch.equal(tensor, expected[name]), name


def test_patience_counts_the_epochs_before_the_interruption(path: Path) -> None:
    options = {"patience": 1, "epochs": 12, "learning_rate": 3e-2}  # so high that the loss rises soon
    whole = untrained(None, **options)
    fit(whole)
    assert len(whole.history) < 12
    fit(untrained(path, **options))  # the file of the last epoch stays: who trains removes it
    resumed = untrained(path, **options)
    assert f"going on after epoch {len(whole.history)}" in fit(resumed)
    assert resumed.history == whole.history


@pytest.mark.parametrize("difference", ["seed", "images", "option"])
def test_a_checkpoint_of_another_training_is_not_used(
    path: Path, difference: str, caplog: pytest.LogCaptureFixture
) -> None:
    fit(untrained(path), cut_in_epoch=3)
    other = {"seed": {"seed": 1}, "option": {"latent_dim": 9}}.get(difference, {})
    changed = IMAGES.clone()
    changed[5, 1, 7, 7] += 1
    with caplog.at_level(logging.WARNING):
        said = fit(untrained(path, **other), images=changed if difference == "images" else IMAGES)
    assert not any(sentence.startswith("going on") for sentence in said)
    assert "of another training" in caplog.text


@pytest.mark.parametrize("damage", ["half", "flipped bit", "empty", "text"])
def test_a_damaged_checkpoint_is_not_used(path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    fit(untrained(path), cut_in_epoch=3)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    damaged = {"half": data[: len(data) // 2], "flipped bit": data, "empty": bytearray(), "text": bytearray(b"no")}
    path.write_bytes(damaged[damage])
    with caplog.at_level(logging.WARNING):
        said = fit(untrained(path))
    assert not any(sentence.startswith("going on") for sentence in said)
    assert "cannot be used" in caplog.text


def test_a_disk_that_refuses_ends_no_training(path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    detector = untrained(tmp_path / "no such folder" / "run-1.safetensors")
    with caplog.at_level(logging.WARNING):
        fit(detector)
    assert len(detector.history) == 5
    assert "could not be kept" in caplog.text


def test_between_two_writings_lies_the_interval(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "INTERVAL_SECONDS", 3600.0)
    fit(untrained(path))
    assert not path.exists()
