"""Pictures of checkerboards of a known scale, as a camera would send them."""

from __future__ import annotations

import cv2
import numpy as np

_SQUARE = 100  # pixels of a square on the board that is photographed
_FINER = 4  # the picture is drawn this many times finer, then averaged, as a sensor does


def board(columns: int, rows: int) -> np.ndarray:
    """A board with so many inner corners, and a white margin of a square."""
    height, width = (rows + 3) * _SQUARE, (columns + 3) * _SQUARE
    y, x = np.indices((height, width)) // _SQUARE
    inside = (y >= 1) & (y <= rows + 1) & (x >= 1) & (x <= columns + 1)
    return np.where(inside & ((x + y) % 2 == 0), 25, 235).astype(np.uint8)


def photograph(
    *,
    columns: int = 9,
    rows: int = 6,
    square_px: float = 40.0,
    degrees: float = 0.0,
    noise: float = 0.0,
    tilt: float = 0.0,
    distortion: float = 0.0,
    size: tuple[int, int] = (800, 600),
    seed: int = 0,
) -> np.ndarray:
    """A grey picture of a board whose squares are `square_px` wide in its middle.

    Args:
        tilt: of the camera: how much larger a square looks at the right edge of the picture than in its middle.
        distortion: of the lens: share by which a point at half the picture's width is moved outwards (barrel: below 0).
    """
    source = board(columns, rows)
    width, height = size[0] * _FINER, size[1] * _FINER
    y, x = np.indices((height, width), dtype=np.float64)
    x, y = (x + 0.5) / _FINER - 0.5 - (size[0] - 1) / 2, (y + 0.5) / _FINER - 0.5 - (size[1] - 1) / 2
    if distortion:
        stretch = 1 - distortion * (x * x + y * y) / (size[0] / 2) ** 2
        x, y = x * stretch, y * stretch
    if tilt:
        depth = 1 + tilt * x / (size[0] / 2)
        x, y = x / depth, y / depth
    angle = np.deg2rad(degrees)
    factor = _SQUARE / square_px
    u = (np.cos(angle) * x + np.sin(angle) * y) * factor + (source.shape[1] - 1) / 2
    v = (-np.sin(angle) * x + np.cos(angle) * y) * factor + (source.shape[0] - 1) / 2
    fine = cv2.remap(source, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR, borderValue=235)
    picture = cv2.resize(fine, size, interpolation=cv2.INTER_AREA).astype(np.float64)
    picture += np.random.default_rng(seed).normal(0, noise, picture.shape)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)
