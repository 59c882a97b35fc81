"""A convolutional autoencoder: learns to redraw good parts; what it cannot redraw is the anomaly."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Self

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from modelzoo.detectors.base import Detector, ImageSource, Progress, resolve_device
from modelzoo.detectors.config import DetectorConfig, option
from modelzoo.detectors.errors import DetectorError
from modelzoo.detectors.smoothing import Smoothing
from modelzoo.detectors.source import CachedImageSource

WIDTHS = (32, 64, 128, 256)
SQUEEZED = 32
WARM_UP = 0.1


@dataclass(frozen=True)
class AutoencoderConfig(DetectorConfig):
    """Options of the autoencoder."""

    latent_dim: int = option(512, "numbers that the bottleneck keeps of an image", low=1, high=8192)
    epochs: int = option(50, "passes over the training images", low=1, high=10_000)
    learning_rate: float = option(1e-4, "highest step size of Adam", low=1e-7, high=1.0)
    skip_connections: bool = option(False, "hand the encoder's features to the decoder past the bottleneck")
    held_out_fraction: float = option(0.2, "share of the good images kept out of the training", low=0.01, high=0.5)

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(side % 16 for side in self.image_size):
            raise DetectorError(
                f"image_size={self.image_size} is not valid: four halvings need multiples of 16 pixels."
            )


class ReconstructionNetwork(nn.Module):
    """Four blocks down to 1/16 of the size, a vector of `latent_dim` numbers, four blocks up again.

    The bottleneck is a vector, not a grid: a defect must not pass through it by its position. A 1x1 convolution to
    32 channels before the dense layers keeps those at a few million weights.

    Args:
        size: (height, width) of the input in pixels, multiples of 16.
        latent_dim: length of the bottleneck's vector.
        skip_connections: concatenate each encoder block's output to the decoder's features of the same size.
    """

    def __init__(self, size: tuple[int, int], latent_dim: int, skip_connections: bool) -> None:
        super().__init__()
        self.skip_connections = skip_connections
        self.grid = (size[0] // 16, size[1] // 16)
        self.down = nn.ModuleList(_down(a, b) for a, b in pairwise((3, *WIDTHS)))
        numbers = SQUEEZED * self.grid[0] * self.grid[1]
        self.squeeze = nn.Conv2d(WIDTHS[-1], SQUEEZED, 1)
        self.encode = nn.Linear(numbers, latent_dim)
        self.decode = nn.Linear(latent_dim, numbers)
        self.widen = nn.Conv2d(SQUEEZED, WIDTHS[-1], 1)
        factor = 2 if skip_connections else 1
        rising = list(reversed(WIDTHS))
        self.up = nn.ModuleList(_up(factor * a, b) for a, b in pairwise(rising))
        # The last block paints the image itself: features at full size would cost more than all the rest.
        self.up.append(nn.Sequential(nn.ConvTranspose2d(factor * WIDTHS[0], 3, 4, 2, 1), nn.Sigmoid()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """RGB in 0..1, [B,3,H,W], to its reconstruction in 0..1, of the same shape."""
        encoded = []
        for block in self.down:
            x = block(x)
            encoded.append(x)
        latent = self.encode(functional.relu(self.squeeze(x)).flatten(1))
        x = functional.relu(self.decode(latent)).unflatten(1, (SQUEEZED, *self.grid))
        x = self.widen(x.contiguous(memory_format=torch.channels_last))
        for block, skipped in zip(self.up, reversed(encoded), strict=True):
            x = block(torch.cat((x, skipped), dim=1) if self.skip_connections else x)
        return x


def _down(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


def _up(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class ConvAutoencoder(Detector):
    """The autoencoder behind the common contract.

    The anomaly map is the squared difference between an image and its reconstruction (RGB in 0..1, mean over the
    channels), smoothed; the image score is its maximum. A part of the good images, drawn by the seed, is kept out of
    the training: the checkpoint with the least loss on them is kept, and their scores are the held-out scores.
    """

    algorithm: ClassVar[str] = "autoencoder"
    config_class: ClassVar[type[DetectorConfig]] = AutoencoderConfig
    config: AutoencoderConfig

    def __init__(self, config: AutoencoderConfig, device: str = "cpu") -> None:
        super().__init__(config, device)
        self._smoothing = Smoothing(config.image_size, config.image_size, config.sigma)
        self._network: ReconstructionNetwork

    def _fit(self, source: ImageSource, progress: Progress) -> np.ndarray:
        config = self.config
        cached = CachedImageSource(source)
        cached.fill(config.batch_size, lambda done: progress(0.05 * done / len(source), f"reading image {done}"))
        order = torch.randperm(len(source)).tolist()
        n_held_out = max(1, round(config.held_out_fraction * len(source)))
        held_out, training = sorted(order[:n_held_out]), order[n_held_out:]
        self._network = self._new_network()
        self.to(self.device)
        with torch.backends.cudnn.flags(deterministic=True, benchmark=False):
            self._train(cached, training, held_out, progress)
        with torch.inference_mode():
            batches = cached.batches(config.batch_size, held_out)
            return np.concatenate([self._maps(b.to(self.device)).amax((1, 2)).cpu().numpy() for b in batches])

    def _train(self, source: ImageSource, training: list[int], held_out: list[int], progress: Progress) -> None:
        config, network = self.config, self._network
        steps_per_epoch = math.ceil(len(training) / config.batch_size)
        total = steps_per_epoch * config.epochs
        optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, total))
        self.history = []
        best_loss, best = math.inf, network.state_dict()
        step = 0
        for epoch in range(1, config.epochs + 1):
            network.train()
            order = [training[i] for i in torch.randperm(len(training)).tolist()]
            losses = []
            for batch in source.batches(config.batch_size, order):
                progress(0.05 + 0.95 * step / total, self._sentence(epoch))
                images = _unit_range(batch.to(self.device))
                with self._autocast():
                    loss = functional.mse_loss(network(images).float(), images)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
                losses.append((loss.item(), len(batch)))
                step += 1
            held_out_loss = self._held_out_loss(source.batches(config.batch_size, held_out))
            train_loss = sum(loss * n for loss, n in losses) / len(training)
            if not math.isfinite(train_loss + held_out_loss):
                raise DetectorError(f"The training diverged in epoch {epoch}; lower the learning rate.")
            self.history.append({"epoch": epoch, "train_loss": train_loss, "held_out_loss": held_out_loss})
            if held_out_loss < best_loss:
                best_loss = held_out_loss
                best = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        network.load_state_dict(best)
        network.eval()

    def _held_out_loss(self, batches: Iterable[torch.Tensor]) -> float:
        """Mean squared error per number, in full precision, as the score will be."""
        self._network.eval()
        with torch.inference_mode():
            sums = [(float(self._residuals(batch.to(self.device)).sum()), batch[:, 0].numel()) for batch in batches]
        return sum(value for value, _ in sums) / sum(pixels for _, pixels in sums)

    def _maps(self, images: torch.Tensor) -> torch.Tensor:
        return self._smoothing(self._residuals(images))

    def _residuals(self, images: torch.Tensor) -> torch.Tensor:
        """float32 [B,H,W]: squared error, mean over the channels, of uint8 [B,3,H,W]."""
        originals = _unit_range(images)
        return (self._network(originals) - originals).square().mean(1)

    def _autocast(self) -> AbstractContextManager[None]:
        """bfloat16 on a GPU that has it, and only in training: scores must not depend on the machine.

        On a CPU with AVX-512 bfloat16 one step of this small network took 0.7 s against 0.5 s in float32.
        """
        enabled = self.device == "cuda" and torch.cuda.is_bf16_supported()
        return torch.autocast(self.device, torch.bfloat16, enabled=enabled)

    def _sentence(self, epoch: int) -> str:
        sentence = f"epoch {epoch} of {self.config.epochs}"
        if self.history:
            last = self.history[-1]
            sentence += f", loss {last['train_loss']:.5f}, held-out loss {last['held_out_loss']:.5f}"
        return sentence

    def _new_network(self) -> ReconstructionNetwork:
        config = self.config
        network = ReconstructionNetwork(config.image_size, config.latent_dim, config.skip_connections)
        return network.to(memory_format=torch.channels_last)

    def to(self, device: str) -> Self:
        self.device = resolve_device(device)
        self._smoothing.to(self.device)
        if hasattr(self, "_network"):
            self._network.to(self.device)
        return self

    def _tensors(self) -> dict[str, torch.Tensor]:
        return dict(self._network.state_dict())

    def _restore_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        self._network = self._new_network()
        self._network.load_state_dict(tensors)
        self._network.eval()


def _unit_range(images: torch.Tensor) -> torch.Tensor:
    """uint8 to float32 in 0..1, in the memory layout that convolutions are fastest with."""
    return (images.float() / 255).contiguous(memory_format=torch.channels_last)


def _rate(step: int, total: int) -> float:
    """Share of the highest learning rate: a linear warm-up over the first tenth, then a cosine down to 0."""
    warm_up = max(1, round(WARM_UP * total))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, total - warm_up)))
