"""Good images with copies that differ from them as one good picture differs from the next: a little turned, shifted and
brighter or darker. Where good images are few, they say what variation is harmless."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch

from modelzoo.detectors.base import ImageSource

COPIES = 4
# What is left of a pose after parts were aligned, or fixed in a station: degrees, and shares of height and width.
MAX_ROTATION, MAX_SHIFT = 1.5, 0.01
# Brightness changes by at most the spread of the good images' mean grey, and never by more than this share.
MAX_BRIGHTNESS_CHANGE = 0.05


class SourceWithCopies:
    """Another source, each image followed by `COPIES` altered ones; the same ones every time it is read.

    Args:
        source: at least one image.
        seed: of the alterations.
        ignored: bool [H,W], pixels that stay as they are in the image; None where there are none.

    Attributes:
        has_different_images: false where all images of the source are the same one. Copies would hide that it was seen
            once only.
    """

    def __init__(self, source: ImageSource, seed: int, ignored: torch.Tensor | None = None) -> None:
        self.source = source
        self.seed = seed
        self.ignored = None if ignored is None else ignored.numpy()
        batches = list(source.batches(COPIES))
        means = np.concatenate([batch.float().mean((1, 2, 3)).numpy() for batch in batches])
        self.has_different_images = any(bool((batch != batches[0][0]).any()) for batch in batches)
        self.brightness_change = min(MAX_BRIGHTNESS_CHANGE, float(means.std() / max(means.mean(), 1.0)))

    def __len__(self) -> int:
        return len(self.source) * (1 + COPIES)

    def batches(self, size: int, indices: Sequence[int] | None = None) -> Iterator[torch.Tensor]:
        """uint8 [b,3,H,W] of whole groups, an image and its copies: at most `size` images, or one group.

        Args:
            indices: of images of the source, not of copies.
        """
        order = range(len(self.source)) if indices is None else indices
        numbers = iter(order)
        for batch in self.source.batches(max(1, size // (1 + COPIES)), indices):
            groups = [self._group(image, index) for image, index in zip(batch, numbers, strict=False)]
            yield torch.from_numpy(np.concatenate(groups))

    def _group(self, image: torch.Tensor, index: int) -> np.ndarray:
        """uint8 [1 + COPIES,3,H,W]."""
        generator = np.random.default_rng((self.seed, index))
        pixels = image.numpy().transpose(1, 2, 0)
        group = [pixels, *(self._altered(pixels, generator) for _ in range(COPIES))]
        return np.stack(group).transpose(0, 3, 1, 2)

    def _altered(self, pixels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """uint8 [H,W,3] turned about its middle, shifted, and brighter or darker."""
        height, width = pixels.shape[:2]
        angle = generator.uniform(-MAX_ROTATION, MAX_ROTATION)
        matrix: np.ndarray = np.asarray(cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1))
        matrix[:, 2] += generator.uniform(-MAX_SHIFT, MAX_SHIFT, 2) * (width, height)
        # Mirrored beyond the border: there is no edge then that good images do not have.
        turned = cv2.warpAffine(
            np.ascontiguousarray(pixels),
            matrix,
            (width, height),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        gain = 1 + generator.uniform(-1, 1) * self.brightness_change
        altered = np.clip(turned.astype(np.float32) * gain + 0.5, 0, 255).astype(np.uint8)
        if self.ignored is not None:
            altered[self.ignored] = pixels[self.ignored]
        return altered
