"""A convolutional autoencoder: learns to redraw good parts; what it cannot redraw is the anomaly."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import partial
from typing import ClassVar, Self

import numpy as np
import torch
from torch import nn

from modelzoo.detectors.autoencoder import distributed
from modelzoo.detectors.autoencoder.checkpoints import Checkpoint, EpochState, identity
from modelzoo.detectors.autoencoder.corruption import add_stains, scoring_masks
from modelzoo.detectors.autoencoder.distributed import ProcessGroup
from modelzoo.detectors.autoencoder.network import (
    AutoencoderConfig,
    ReconstructionNetwork,
    Trainer,
    new_network,
    reconstruction_loss,
    unit_range,
)
from modelzoo.detectors.autoencoder.residuals import ResidualStatistics, ResidualSums
from modelzoo.detectors.base import FP32, Detector, ImageSource, MapFunction, Progress, autocast_context, resolve_device
from modelzoo.detectors.config import DetectorConfig
from modelzoo.detectors.errors import DetectorError
from modelzoo.detectors.image_source import CachedImageSource
from modelzoo.detectors.smoothing import Smoothing

# Held-out images come in blocks: neighbours in the list can be sister parts, nearly the same image twice.
MAX_HELD_OUT_BLOCKS = 4
# Shares of the progress.
_READ_SHARE, _TRAIN_SHARE = 0.05, 0.9


class ConvAutoencoder(Detector):
    """The autoencoder behind the common contract.

    The residual is the absolute difference between an image and its reconstruction (RGB in 0..1, mean over the
    channels), smoothed; the anomaly map says by how many spreads it lies above the mean residual of good images at that
    position; the image score is the map's maximum.

    Some blocks of the good images are held out of the training. The weights of the epoch with the lowest loss on them
    are used, and the residual statistics are estimated from them. The held-out scores are cross-fitted: each block is
    scored with the statistics of the other blocks. Only the choice of the epoch has seen its images.

    Under `torchrun` this is the leader's side; the other processes call `follow`.
    """

    algorithm: ClassVar[str] = "autoencoder"
    config_class: ClassVar[type[DetectorConfig]] = AutoencoderConfig
    config: AutoencoderConfig

    def __init__(self, config: AutoencoderConfig, device: str = "cpu") -> None:
        super().__init__(config, device)
        self._network: ReconstructionNetwork
        self._scoring_masks: torch.Tensor  # see `scoring_masks`; read under masks only
        self._residual_statistics: ResidualStatistics
        self._smoothing: Smoothing

    def _fit(self, source: ImageSource, progress: Progress) -> np.ndarray:
        config = self.config
        with distributed.process_group(self.device) as group:
            cached = CachedImageSource(source)
            cached.fill(
                config.batch_size, lambda done: progress(_READ_SHARE * done / len(source), f"reading image {done}")
            )
            blocks = held_out_blocks(len(source), config.held_out_fraction)
            self._train(cached, blocks, progress, group)
        progress(_READ_SHARE + _TRAIN_SHARE, "learning the normal values at each position")
        self._smoothing = self._new_smoothing()
        self._smoothing.to(self.device)
        with torch.inference_mode():
            return self._fit_residual_statistics(cached, blocks)

    def _train(self, source: ImageSource, blocks: list[list[int]], progress: Progress, group: ProcessGroup) -> None:
        config = self.config
        held_out = [index for block in blocks for index in block]
        training = sorted(set(range(len(source))) - set(held_out))
        batch_size = min(config.batch_size, len(training))
        if batch_size < group.size:
            raise DetectorError(f"{group.size} processes cannot share batches of {batch_size} images; start fewer.")
        steps_per_epoch = math.ceil(len(training) / batch_size)
        total = steps_per_epoch * config.epochs
        size = config.network_size(self.input_size)
        group.send_task({"config": config.as_dict(), "size": size, "total_steps": total})
        trainer = Trainer(config, size, total, group)
        self._network = trainer.network
        self._scoring_masks = scoring_masks(size).to(self.device)
        checkpoint = self._checkpoint_of(source, group)
        state = (checkpoint and checkpoint.restore(trainer)) or EpochState(best=self._network.state_dict())
        self.history = state.history
        if state.epoch:
            progress(_READ_SHARE + _TRAIN_SHARE * state.epoch / config.epochs, f"going on after epoch {state.epoch}")
        while state.epoch < config.epochs and state.epoch - state.best_epoch < config.patience:
            epoch = state.epoch + 1
            losses: list[float] = []
            for batch in source.batches(batch_size, epoch_order(training, batch_size)):
                done = ((epoch - 1) * steps_per_epoch + len(losses)) / total
                progress(_READ_SHARE + _TRAIN_SHARE * done, self._sentence(epoch))
                pair = torch.stack((self._corrupt(batch), batch))
                group.send(pair)
                losses.append(trainer.step(pair))
            train_loss = sum(losses) / len(losses)
            held_out_loss = self._held_out_loss(source.batches(batch_size, held_out))
            if not math.isfinite(train_loss + held_out_loss):
                raise DetectorError(f"The training diverged in epoch {epoch}; lower the learning rate.")
            state.history.append({"epoch": epoch, "train_loss": train_loss, "held_out_loss": held_out_loss})
            state.epoch = epoch
            if held_out_loss < state.best_loss:
                state.best_loss, state.best_epoch = held_out_loss, epoch
                state.best = {name: tensor.clone() for name, tensor in self._network.state_dict().items()}
            if checkpoint:
                checkpoint.write(trainer, state)
        group.send_end()
        self._network.load_state_dict(state.best)
        self._network.eval()

    def _checkpoint_of(self, source: ImageSource, group: ProcessGroup) -> Checkpoint | None:
        """None where none was asked for, and under `torchrun`, whose other processes have a state of their own."""
        if self.checkpoint is None or group.size > 1:
            return None
        images = source.batches(self.config.batch_size)
        return Checkpoint(self.checkpoint, identity(self.config, self.device, images))

    def _held_out_loss(self, batches: Iterable[torch.Tensor]) -> float:
        """The training's loss per image, in full precision, under the same damage in every epoch."""
        config = self.config
        self._network.eval()
        losses = []
        with torch.inference_mode(), torch.random.fork_rng([]):
            torch.manual_seed(config.seed)
            for batch in batches:
                corrupted, clean = (
                    unit_range(images.to(self.device), config.network_size(self.input_size))
                    for images in (self._corrupt(batch), batch)
                )
                losses += reconstruction_loss(self._reconstruct(corrupted), clean, config.loss).tolist()
        return sum(losses) / len(losses)

    def _corrupt(self, batch: torch.Tensor) -> torch.Tensor:
        return add_stains(batch) if self.config.training_corruption == "stain" else batch

    def _fit_residual_statistics(self, source: ImageSource, blocks: list[list[int]]) -> np.ndarray:
        """Estimate the statistics from all held-out images; returns the cross-fitted score of each."""
        blur = Smoothing(self.input_size, self.input_size, self.config.sigma, self.ignored)
        total = ResidualSums(self.input_size)
        parts = [ResidualSums(self.input_size) for _ in blocks]
        for block, part in zip(blocks, parts, strict=True):
            for residuals in self._residuals_of(source, block):
                part.add(residuals)
                total.add(residuals)
        self._residual_statistics = total.statistics(blur).to(self.device)
        scores = []
        for block, part in zip(blocks, parts, strict=True):
            # A single image has no others to be compared with.
            others = total.without(part) if len(blocks) > 1 else total
            statistics = others.statistics(blur).to(self.device)
            scores += [
                statistics.deviations(residuals).amax((1, 2)).cpu() for residuals in self._residuals_of(source, block)
            ]
        return torch.cat(scores).numpy()

    def _residuals_of(self, source: ImageSource, indices: list[int]) -> Iterator[torch.Tensor]:
        for batch in source.batches(self.config.batch_size, indices):
            yield self._residuals(batch.to(self.device))

    def map_function(self, precision: str) -> MapFunction:
        return self._maps if precision == FP32 else partial(self.portable_maps, precision=torch.bfloat16)

    def _maps(self, images: torch.Tensor) -> torch.Tensor:
        return self.portable_maps(images)

    @property
    def network(self) -> nn.Module:
        return self._network

    def portable_maps(self, images: torch.Tensor, precision: torch.dtype = torch.float32) -> torch.Tensor:
        return self._residual_statistics.deviations(self._residuals(images, precision))

    def _residuals(self, images: torch.Tensor, precision: torch.dtype = torch.float32) -> torch.Tensor:
        """float32 [B,H,W]: smoothed absolute difference, mean over the channels, of uint8 [B,3,H,W]."""
        originals = unit_range(images, self.config.network_size(self.input_size))
        with autocast_context(self.device, precision):
            reconstructed = self._reconstruct(originals)
        return self._smoothing((reconstructed.float() - originals).abs().mean(1))

    def _reconstruct(self, inputs: torch.Tensor) -> torch.Tensor:
        """Reconstruction, float32 [B,3,h,w]; under masks the mean of the turns in which a square was hidden."""
        if self.config.training_corruption != "mask":
            return self._network(inputs)
        result = torch.zeros_like(inputs)
        for hidden in self._scoring_masks:
            result += hidden * self._network(inputs, hidden[None])
        return result / self._scoring_masks.sum(0)

    def _sentence(self, epoch: int) -> str:
        sentence = f"epoch {epoch} of {self.config.epochs}"
        if self.history:
            last = self.history[-1]
            sentence += f", loss {last['train_loss']:.5f}, held-out loss {last['held_out_loss']:.5f}"
        return sentence

    def _new_smoothing(self) -> Smoothing:
        size = self.config.network_size(self.input_size)
        return Smoothing(size, self.input_size, self.config.sigma, self.ignored)

    def to(self, device: str) -> Self:
        self.device = resolve_device(device)
        if self.n_train:
            self._network.to(self.device)
            self._scoring_masks = self._scoring_masks.to(self.device)
            self._smoothing.to(self.device)
            self._residual_statistics = self._residual_statistics.to(self.device)
        return self

    def _tensors(self) -> dict[str, torch.Tensor]:
        network = {f"network.{name}": tensor for name, tensor in self._network.state_dict().items()}
        return network | {
            "usual.mean": self._residual_statistics.mean,
            "usual.spread": self._residual_statistics.spread,
        }

    def _restore_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        self._residual_statistics = ResidualStatistics(tensors.pop("usual.mean"), tensors.pop("usual.spread"))
        self._smoothing = self._new_smoothing()
        size = self.config.network_size(self.input_size)
        self._scoring_masks = scoring_masks(size)
        self._network = new_network(self.config, size)
        self._network.load_state_dict({name.removeprefix("network."): value for name, value in tensors.items()})
        self._network.eval()


def follow(device: str = "auto") -> None:
    """What every process but the leader does under `torchrun`: trains on its share of each batch until the end.

    Raises:
        DetectorError: when the device or the leader's options are not to be had here.
        RuntimeError: when the leader is gone before its training ended.
    """
    device = resolve_device(device)
    with distributed.process_group(device) as group:
        task = group.receive_task()
        config = AutoencoderConfig(**task["config"])
        trainer = Trainer(config, (task["size"][0], task["size"][1]), task["total_steps"], group)
        while (pair := group.receive()) is not None:
            trainer.step(pair)


def held_out_blocks(n: int, fraction: float) -> list[list[int]]:
    """Up to four blocks of consecutive indices of `n` images, spread over the list, their places drawn at random.

    Together they are `fraction` of the images, at least one and never all of them.
    """
    total = max(1, round(fraction * n))
    count = min(MAX_HELD_OUT_BLOCKS, total)
    sections = [[int(index) for index in section] for section in np.array_split(np.arange(n), count)]
    blocks = []
    for number, section in enumerate(sections):
        length = (total * (number + 1)) // count - (total * number) // count
        start = int(torch.randint(len(section) - length + 1, ()))
        blocks.append(section[start : start + length])
    return blocks


def epoch_order(training: list[int], batch_size: int) -> list[int]:
    """All images in random order, the first ones again at the end, so that every batch is full."""
    order = [training[index] for index in torch.randperm(len(training)).tolist()]
    return order + order[: -len(order) % batch_size]
