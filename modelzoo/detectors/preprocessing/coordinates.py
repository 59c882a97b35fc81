"""Transformations of coordinates: float64 [3,3] of (x, y, 1), those of pixel centres, the first pixel's being 0."""

from __future__ import annotations

import numpy as np


def rescaling(x: float, y: float) -> np.ndarray:
    """Coordinates of pixel centres in a picture that is enlarged by these factors."""
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])


def translation(x: float, y: float) -> np.ndarray:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])
