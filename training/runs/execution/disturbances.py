"""What may happen to the picture of a good part between lamp and file, made on the decoded image, before preprocessing.

Each disturbance is deterministic: where it draws at random, the seed of the image decides.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

Disturb = Callable[[Image.Image, int], Image.Image]
"""An RGB image and its seed to an RGB image of the same size."""


@dataclass(frozen=True)
class Disturbance:
    """`name` is for programs, `label` for people."""

    name: str
    label: str
    apply: Disturb


def brightness(factor: float) -> Disturb:
    """Every grey level times a factor; what becomes brighter than white is white."""
    table = np.clip(np.arange(256) * factor + 0.5, 0, 255).astype(np.uint8)
    return lambda image, seed: Image.fromarray(table[np.asarray(image)])


def blur(sigma: float) -> Disturb:
    """Gaussian, of a standard deviation in pixels of the image."""
    return lambda image, seed: Image.fromarray(cv2.GaussianBlur(np.asarray(image), (0, 0), sigma))


def noise(sigma: float) -> Disturb:
    """Gaussian, independent in each pixel and channel, of a standard deviation in grey levels."""

    def apply(image: Image.Image, seed: int) -> Image.Image:
        pixels = np.asarray(image, dtype=np.float32)
        drawn = np.random.default_rng(seed).standard_normal(pixels.shape, dtype=np.float32)
        return Image.fromarray(np.clip(pixels + sigma * drawn + 0.5, 0, 255).astype(np.uint8))

    return apply


def shift(distance: int) -> Disturb:
    """By so many pixels to the left, right, top or bottom, drawn by the seed; the rim is mirrored."""

    def apply(image: Image.Image, seed: int) -> Image.Image:
        x, y = ((distance, 0), (-distance, 0), (0, distance), (0, -distance))[np.random.default_rng(seed).integers(4)]
        return _warp(image, np.array([[1, 0, x], [0, 1, y]], dtype=np.float64))

    return apply


def rotation(degrees: float) -> Disturb:
    """About the middle, to the left or to the right as the seed draws; the rim is mirrored."""

    def apply(image: Image.Image, seed: int) -> Image.Image:
        angle = degrees if np.random.default_rng(seed).integers(2) else -degrees
        middle = ((image.width - 1) / 2, (image.height - 1) / 2)
        return _warp(image, cv2.getRotationMatrix2D(middle, angle, 1.0))

    return apply


def jpeg(quality: int) -> Disturb:
    """Compressed as JPEG and opened again."""

    def apply(image: Image.Image, seed: int) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file).convert("RGB")

    return apply


def _warp(image: Image.Image, matrix: np.ndarray) -> Image.Image:
    pixels = np.asarray(image)
    warped = cv2.warpAffine(pixels, matrix, image.size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return Image.fromarray(warped)


DISTURBANCES = (
    Disturbance("darker", "20 % darker", brightness(0.8)),
    Disturbance("brighter", "20 % brighter", brightness(1.2)),
    Disturbance("blur", "Blur, 2 pixels", blur(2.0)),
    Disturbance("noise", "Noise, 5 grey levels", noise(5.0)),
    Disturbance("shift", "Shift by 8 pixels", shift(8)),
    Disturbance("rotation", "Rotation by 3 degrees", rotation(3.0)),
    Disturbance("jpeg", "JPEG quality 60", jpeg(60)),
)
