"""What a picture looks like as a whole, in a few numbers that have nothing to do with defects.

The shortcut audit asks whether they separate good from defective parts; every inspection record keeps some of them, so
that a lamp, a lens or a material that changes is seen in the figures.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from PIL import Image

_PERCENTILES = {"dark_level": 1.0, "median": 50.0, "bright_level": 99.0}
_NOISE_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)
# Of the picture in which the direction of the edges is looked for, the longer side.
_DIRECTION_SIDE = 128
# What a record keeps of `pixel_statistics`, by the name that it has there.
KEPT = {
    "brightness": "mean",
    "contrast": "standard_deviation",
    "focus": "focus",
    "noise": "noise",
    "background": "corners",
    "saturation": "saturation",
}

# Statistics of a record in words, with their unit.
WORDS = {
    "brightness": ("brightness", "grey levels"),
    "contrast": ("contrast", "grey levels"),
    "focus": ("focus", "grey levels"),
    "noise": ("noise", "grey levels"),
    "background": ("background", "grey levels"),
    "saturation": ("colour saturation", "of 255"),
    "direction": ("edge direction", "degrees"),
    "alignment_residual": ("alignment residual", ""),
    "likeness_distance": ("distance from the training images", ""),
}


def pixel_statistics(pixels: np.ndarray) -> dict[str, float]:
    """What uint8 [H,W,3] RGB pixels look like as a whole, in grey levels (0..255) unless said.

    Keys: mean, standard_deviation, median, dark_level and bright_level (1st and 99th percentile), focus (standard
    deviation of the Laplacian; Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", 2000), noise
    (standard deviation, by Immerkaer, "Fast Noise Variance Estimation", 1996), corners (mean of the four corners, each
    a sixteenth of the sides), saturation (mean of that of HSV).
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    levels = np.cumsum(cv2.calcHist([grey], [0], None, [256], [0, 256]).ravel().astype(np.int64))
    y, x = max(1, height // 16), max(1, width // 16)
    corners = [grey[:y, :x], grey[:y, -x:], grey[-y:, :x], grey[-y:, -x:]]
    # The kernel, a difference of two Laplacians, answers to neither flat areas nor straight edges.
    response = cv2.filter2D(grey, cv2.CV_16S, _NOISE_KERNEL, borderType=cv2.BORDER_REFLECT_101)
    mean, deviation = cv2.meanStdDev(grey)
    return {
        "mean": float(mean[0, 0]),
        "standard_deviation": float(deviation[0, 0]),
        **{name: float(np.searchsorted(levels, share / 100 * grey.size)) for name, share in _PERCENTILES.items()},
        "focus": float(cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))[1][0, 0]),
        "noise": cv2.norm(response, cv2.NORM_L1) / grey.size * math.sqrt(math.pi / 2) / 6,
        "corners": float(np.mean([corner.mean() for corner in corners])),
        "saturation": float(cv2.mean(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV))[1]),
    }


def image_statistics(image: Image.Image, n_bytes: int) -> dict[str, float]:
    """Those of the pixels of an RGB image, and of its file: file_size (bytes) and area (pixels)."""
    return {
        **pixel_statistics(np.asarray(image)),
        "file_size": float(n_bytes),
        "area": float(image.width * image.height),
    }


def edge_direction(grey: np.ndarray) -> float:
    """The direction of most edges of uint8 [h,w], -45..45 degrees: it turns with the picture.

    A quarter turn gives the same: the horizontal and the vertical edges of one part count together. It is the angle of
    the mean of the gradients' fourth powers, each in the weight of its square (Bigun, "Optimal orientation detection of
    linear symmetry", 1987, for four directions in place of two).
    """
    height, width = grey.shape
    factor = min(1.0, _DIRECTION_SIDE / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    across, down = cv2.Sobel(small, cv2.CV_32F, 1, 0), cv2.Sobel(small, cv2.CV_32F, 0, 1)
    squares, difference, product = across**2 + down**2 + 1e-6, across**2 - down**2, 2 * across * down
    cosine = float(((difference**2 - product**2) / squares).sum())
    sine = float((2 * difference * product / squares).sum())
    return math.degrees(math.atan2(sine, cosine)) / 4


def record_statistics(pixels: np.ndarray) -> dict[str, float]:
    """What a record keeps of uint8 [H,W,3] RGB pixels: `KEPT`, and `direction` (see `edge_direction`)."""
    statistics = pixel_statistics(pixels)
    kept = {name: statistics[source] for name, source in KEPT.items()}
    return {**kept, "direction": edge_direction(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))}
