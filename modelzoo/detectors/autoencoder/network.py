"""The autoencoder's network, and one step of its training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from modelzoo.detectors.autoencoder.corruption import random_masks
from modelzoo.detectors.autoencoder.distributed import ProcessGroup, SharedBatchNorm
from modelzoo.detectors.autoencoder.ssim import ssim
from modelzoo.detectors.errors import DetectorError
from modelzoo.detectors.options import AutoencoderConfig

WIDTHS = (32, 64, 128, 256)
BOTTLENECK_CHANNELS = 32
# The learning rate rises to ten times its first value over a tenth of the training, then falls to 0.
WARM_UP_SHARE, PEAK_FACTOR = 0.1, 10.0
# Weight of 1 - SSIM beside the mean squared error: on parts that are redrawn well both then count about the same.
SSIM_WEIGHT = 0.01


class ReconstructionNetwork(nn.Module):
    """Four blocks down to 1/16 of the size, a vector of `latent_dim` numbers, four blocks up again.

    The bottleneck is a vector, not a grid: a defect must not pass through it by its position. A 1x1 convolution to
    32 channels before the dense layers keeps those at a few million weights.

    Args:
        size: (height, width) of the input in pixels, multiples of 16.
        latent_dim: length of the bottleneck's vector.
        skip_connections: concatenate each encoder block's output to the decoder's features of the same size.
        gradient_checkpointing: keep no features inside the blocks while training.
    """

    def __init__(
        self, size: tuple[int, int], latent_dim: int, skip_connections: bool, gradient_checkpointing: bool = False
    ) -> None:
        super().__init__()
        self.skip_connections = skip_connections
        self.gradient_checkpointing = gradient_checkpointing
        self.grid = (size[0] // 16, size[1] // 16)
        self.down = nn.ModuleList(_down(a, b) for a, b in pairwise((3, *WIDTHS)))
        n_values = BOTTLENECK_CHANNELS * self.grid[0] * self.grid[1]
        self.squeeze = nn.Conv2d(WIDTHS[-1], BOTTLENECK_CHANNELS, 1)
        self.encode = nn.Linear(n_values, latent_dim)
        self.decode = nn.Linear(latent_dim, n_values)
        self.widen = nn.Conv2d(BOTTLENECK_CHANNELS, WIDTHS[-1], 1)
        factor = 2 if skip_connections else 1
        decoder_widths = list(reversed(WIDTHS))
        self.up = nn.ModuleList(_up(factor * a, b) for a, b in pairwise(decoder_widths))
        # The last block paints the image itself: features at full size would cost more than all the rest.
        self.up.append(nn.Sequential(nn.ConvTranspose2d(factor * WIDTHS[0], 3, 4, 2, 1), nn.Sigmoid()))

    def forward(self, x: torch.Tensor, hidden: torch.Tensor | None = None) -> torch.Tensor:
        """RGB in 0..1, [B,3,H,W], to its reconstruction in 0..1, of the same shape.

        Pixels where `hidden`, float32 [B or 1,1,H,W], is 1 reach the decoder through the bottleneck alone: each block
        looks at 4 x 4 positions two apart, and so does the pooling that marks which features have seen any of them.
        """
        encoded = []
        for block in self.down:
            x = self._through(block, x)
            if hidden is None:
                encoded.append(x)
            else:
                hidden = functional.max_pool2d(hidden, 4, 2, 1)
                encoded.append(x * (1 - hidden))
        latent = self.encode(functional.relu(self.squeeze(x)).flatten(1))
        x = functional.relu(self.decode(latent)).unflatten(1, (BOTTLENECK_CHANNELS, *self.grid))
        x = self.widen(x.contiguous(memory_format=torch.channels_last))
        for block, skip in zip(self.up, reversed(encoded), strict=True):
            x = self._through(block, torch.cat((x, skip), dim=1) if self.skip_connections else x)
        return x

    def _through(self, block: nn.Module, x: torch.Tensor) -> torch.Tensor:
        if not (self.gradient_checkpointing and self.training):
            return block(x)
        result: torch.Tensor = checkpoint(block, x, use_reentrant=False, context_fn=lambda: _contexts_of_passes(block))
        return result


def _down(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), SharedBatchNorm(outputs), nn.ReLU())


def _up(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)
    return nn.Sequential(convolution, SharedBatchNorm(outputs), nn.ReLU())


def _contexts_of_passes(block: nn.Module) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """Contexts of the two passes of a checkpointed block: the second must not count its batch statistics again."""
    return nullcontext(), _frozen_statistics(block)


@contextmanager
def _frozen_statistics(block: nn.Module) -> Iterator[None]:
    norms = [(module, module.momentum) for module in block.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm, _ in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in norms:
            norm.momentum = momentum


class Trainer:
    """Network, optimizer, schedule and scaler: all that changes while training, one step at a time.

    Every process of `group` has one and calls `step` with the same batches.

    Args:
        size: (height, width) of the network's input.
        total_steps: after how many steps the learning rate has fallen to 0.

    Raises:
        DetectorError: when `config.precision` is not to be had on the group's device.
    """

    def __init__(self, config: AutoencoderConfig, size: tuple[int, int], total_steps: int, group: ProcessGroup) -> None:
        self.group = group
        self.loss = config.loss
        self.size = size
        # Seeded alike everywhere, so that all processes hide the same squares.
        self.masks = torch.Generator().manual_seed(config.seed) if config.training_corruption == "mask" else None
        self.precision = training_precision(config.precision, group.device)
        self.network = new_network(config, size).to(group.device)
        self.distributed_network: nn.Module = self.network
        if group.size > 1:
            # Gradients are averaged; the buffers are equal already, see SharedBatchNorm.
            self.distributed_network = DistributedDataParallel(self.network, forward_sync_buffers=False)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: learning_rate_factor(step, total_steps)
        )
        self.scaler = torch.amp.GradScaler(group.device, enabled=self.precision is torch.float16)

    def step(self, pair: torch.Tensor) -> float:
        """Learn from uint8 [2,n,3,H,W], inputs and what they should become; returns the batch's loss before it."""
        inputs, targets = (unit_range(self.group.share(half).to(self.group.device), self.size) for half in pair)
        weight = len(inputs) / pair.shape[1]
        hidden = None
        if self.masks is not None:
            masks = random_masks(pair.shape[1], self.size, self.masks)
            hidden = self.group.share(masks).to(self.group.device)
        self.network.train()
        # Without `enabled` these flags would switch cuDNN off.
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, benchmark=False):
            with torch.autocast(self.group.device, self.precision, enabled=self.precision is not torch.float32):
                outputs = self.distributed_network(inputs, hidden)
            loss = reconstruction_loss(outputs.float(), targets, self.loss).mean() * weight
            self.optimizer.zero_grad(set_to_none=True)
            # The processes' gradients are averaged, but their shares of the loss have to be added.
            self.scaler.scale(loss * self.group.size).backward()
            self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        return self.group.sum(loss.detach()).item()


def new_network(config: AutoencoderConfig, size: tuple[int, int]) -> ReconstructionNetwork:
    """A network with random weights, in the memory layout that convolutions are fastest with."""
    network = ReconstructionNetwork(size, config.latent_dim, config.skip_connections, config.gradient_checkpointing)
    return network.to(memory_format=torch.channels_last)


def unit_range(images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """uint8 [B,3,H,W] to float32 in 0..1 of `size`, averaged over areas, channels last."""
    scaled = images.float() / 255
    if scaled.shape[2:] != size:
        scaled = functional.interpolate(scaled, size, mode="area")
    return scaled.contiguous(memory_format=torch.channels_last)


def reconstruction_loss(outputs: torch.Tensor, targets: torch.Tensor, kind: str) -> torch.Tensor:
    """float32 [B], the loss of each image: mean squared error, with `ssim+mse` plus the lack of similarity."""
    squared = (outputs - targets).square().mean((1, 2, 3))
    return squared + SSIM_WEIGHT * (1 - ssim(outputs, targets)) if kind == "ssim+mse" else squared


def training_precision(requested: str, device: str) -> torch.dtype:
    """What the forward pass of the training is computed in. Scores are always in float32.

    On a CPU with AVX-512 bfloat16 one step of this small network took 0.7 s against 0.5 s in float32.

    Raises:
        DetectorError: for fp16 without a GPU, and bf16 on a GPU that lacks it.
    """
    if requested == "auto":
        # Where it is emulated it is slower than float32.
        is_fast = device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if is_fast else torch.float32
    if requested == "fp16" and device == "cpu":
        raise DetectorError("precision=fp16 needs a CUDA device; on a CPU use auto, fp32 or bf16.")
    if requested == "bf16" and device == "cuda" and not torch.cuda.is_bf16_supported():
        raise DetectorError("precision=bf16 is not to be had on this GPU; use auto, fp32 or fp16.")
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[requested]


def learning_rate_factor(step: int, total: int) -> float:
    """The learning rate of a step, as a multiple of the first one: a single cycle (Smith & Topin 2018,
    "Super-convergence"), linear up to the tenfold, then a cosine down to 0.

    Without the rise the default epochs do not suffice: on aligned screws the image AUROC was 0.877 instead of 0.992.
    """
    warm_up = max(1, round(WARM_UP_SHARE * total))
    if step < warm_up:
        return 1 + (PEAK_FACTOR - 1) * step / warm_up
    return PEAK_FACTOR * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, total - warm_up)))
