"""Shared pieces of the detectors' tests: a stream of tensors, small textured images, and the development data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from modelzoo.detectors.preprocessing.pipeline import Preprocessing
from tests.environment import SHARED

SCREW = SHARED / "data" / "mvtec" / "screw"
RESNET18 = SHARED / "weights" / "resnet18-imagenet1k-v1-conv1-layer3.safetensors"

needs_screw = pytest.mark.skipif(not SCREW.is_dir(), reason="../shared/data/mvtec/screw is not on this machine")
needs_resnet18 = pytest.mark.skipif(not RESNET18.is_file(), reason="../shared/weights has no ResNet-18 here")


def open_rgb(path: Path) -> Image.Image:
    """Decode a file of the development data; the product's own decoder is upload validation."""
    return Image.open(path).convert("RGB")


class TensorSource:
    """Images in memory, uint8 [N,3,H,W], as an image source; counts how often each was read."""

    def __init__(self, images: torch.Tensor) -> None:
        self.images = images
        self.reads = torch.zeros(len(images), dtype=torch.long)

    def __len__(self) -> int:
        return len(self.images)

    def batches(self, size: int, indices: Sequence[int] | None = None) -> Iterator[torch.Tensor]:
        order = torch.arange(len(self)) if indices is None else torch.as_tensor(list(indices), dtype=torch.long)
        for chunk in order.split(size) if len(order) else ():
            self.reads[chunk] += 1
            yield self.images[chunk]


class ImagesInMemory:
    """Decoded images as the original pictures of a training: what a detector decides its preprocessing by."""

    def __init__(self, images: Sequence[Image.Image], preprocessing: Preprocessing) -> None:
        self.images = images
        self.preprocessing = preprocessing

    def __len__(self) -> int:
        return len(self.images)

    def map(self, function, indices: Sequence[int] | None = None):
        return [function(self.images[index]) for index in (range(len(self)) if indices is None else indices)]

    def batches(self, size: int, indices: Sequence[int] | None = None) -> Iterator[torch.Tensor]:
        pixels = torch.stack(self.map(lambda image: self.preprocessing.prepare(image).pixels, indices))
        yield from pixels.split(size)


def textured(n: int, height: int = 64, width: int = 64, seed: int = 0) -> torch.Tensor:
    """Good parts: a fixed pattern of stripes with a little noise and a little change of brightness, uint8."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    pattern = 128 + 50 * np.sin(columns / 4) + 20 * np.cos(rows / 7)
    brightness = generator.normal(0, 3, (n, 1, 1, 1))
    noise = generator.normal(0, 4, (n, 3, height, width))
    return torch.from_numpy(np.clip(pattern + brightness + noise, 0, 255).astype(np.uint8))


def with_defect(images: torch.Tensor) -> torch.Tensor:
    """The same parts with a bright square at rows 16..28, columns 32..44."""
    changed = images.clone()
    changed[:, :, 16:28, 32:44] = 250
    return changed
