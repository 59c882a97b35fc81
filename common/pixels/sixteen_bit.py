"""16-bit grey values and the window in which they become the 8 bits that are scored and shown.

A window is two values: what lies at or below the first is black, at or above the second white, evenly between. A model
has one, decided when it was trained; a picture by itself is shown by its own percentiles.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

Window = tuple[int, int]

MODE = "I;16"  # Pillow's name for such pixels
LEVELS = 65536
FULL_WINDOW: Window = (0, 65535)
TWELVE_BIT_WINDOW: Window = (0, 4095)
# A few hot or dead pixels do not decide what is black and what is white.
_DARKEST, _BRIGHTEST = 0.001, 0.999


def is_sixteen_bit(image: Image.Image) -> bool:
    """Whether the pixels are 16-bit grey, as cameras for measuring and X-ray give."""
    return image.mode == MODE


def histogram(image: Image.Image) -> np.ndarray:
    """How often each value occurs in a 16-bit image, int64 [65536]."""
    return np.bincount(np.asarray(image, dtype=np.uint16).ravel(), minlength=LEVELS)


def percentile_window(counts: np.ndarray) -> Window:
    """From the 0.1st to the 99.9th percentile of a histogram; where that is one value, from the least to the most."""
    shares = np.cumsum(counts) / counts.sum()
    low, high = (int(np.searchsorted(shares, share)) for share in (_DARKEST, _BRIGHTEST))
    if low == high:
        present = np.flatnonzero(counts)
        low, high = int(present[0]), int(present[-1])
    return (low, high) if low < high else (max(0, low - 1), max(1, low))


def to_eight_bit(image: Image.Image, window: Window) -> Image.Image:
    """A 16-bit image as an 8-bit one, mode L: rounded to the nearest level, clipped outside of the window."""
    low, high = window
    offsets = np.clip(np.arange(LEVELS, dtype=np.int64), low, high) - low
    table = ((offsets * 510 + (high - low)) // (2 * (high - low))).astype(np.uint8)
    return Image.fromarray(table[np.asarray(image, dtype=np.uint16)])


def to_sixteen_bit(image: Image.Image, window: Window) -> Image.Image:
    """An 8-bit image as a 16-bit one that this window shows as it is."""
    low, high = window
    levels = np.asarray(image.convert("L"), dtype=np.float64)
    return Image.fromarray((low + levels * (high - low) / 255).round().astype(np.uint16))


def clipped_share(counts: np.ndarray, window: Window) -> float:
    """The share of an image's pixels, by its histogram, that lie outside of a window, 0..1."""
    return float((counts[: window[0]].sum() + counts[window[1] + 1 :].sum()) / counts.sum())
