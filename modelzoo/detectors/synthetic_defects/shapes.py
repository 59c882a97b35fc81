"""Outlines of synthetic defects: float32 [side,side] in 0..1, 1 inside, drawn around the centre of a square."""

from __future__ import annotations

import math

import cv2
import numpy as np


def rectangle(diameter: float, generator: np.random.Generator) -> np.ndarray:
    """A rectangle in any direction, up to three times as long as it is wide, as large as a disc of that diameter."""
    ratio = math.sqrt(generator.uniform(1, 3))
    sides = (max(2.0, diameter * ratio), max(2.0, diameter / ratio))
    canvas = _canvas(1.5 * sides[0])
    centre = (canvas.shape[0] - 1) / 2
    corners = cv2.boxPoints(((centre, centre), sides, generator.uniform(0, 180)))
    return _filled(canvas, corners)


def blob(diameter: float, generator: np.random.Generator) -> np.ndarray:
    """An uneven disc: its radius has a few waves around it, as a chip or a drop has."""
    canvas = _canvas(1.8 * diameter)
    centre = (canvas.shape[0] - 1) / 2
    angles = np.linspace(0, 2 * math.pi, 64, endpoint=False)
    radius = np.ones_like(angles)
    for waves in range(2, 6):
        radius += generator.uniform(0, 0.5 / waves) * np.cos(waves * angles + generator.uniform(0, 2 * math.pi))
    radius *= diameter / 2
    outline = np.stack([centre + radius * np.cos(angles), centre + radius * np.sin(angles)], axis=1)
    return _filled(canvas, outline)


def scratch(length: float, width: float, generator: np.random.Generator) -> np.ndarray:
    """A thin line that turns a little on its way, with soft sides."""
    canvas = _canvas(1.2 * length + width)
    angle, bend = generator.uniform(0, 2 * math.pi), generator.normal(0, 0.04, 16)
    directions = angle + np.cumsum(bend)
    steps = length / 16 * np.stack([np.cos(directions), np.sin(directions)], axis=1)
    points = np.cumsum(steps, axis=0)
    points += (canvas.shape[0] - 1) / 2 - points.mean(axis=0)
    # Drawn at four times the size: a line of one pixel has no other way to lie between two pixels.
    large = np.zeros((4 * canvas.shape[0], 4 * canvas.shape[1]), np.uint8)
    path = np.round(4 * points + 1.5).astype(np.int32)
    cv2.polylines(large, [path], False, 255, max(1, round(4 * width)), cv2.LINE_AA)
    size = (canvas.shape[1], canvas.shape[0])
    return np.asarray(cv2.resize(large, size, interpolation=cv2.INTER_AREA), dtype=np.float32) / 255


def noise_islands(diameter: float, generator: np.random.Generator) -> np.ndarray:
    """Islands of gradient noise (Perlin 1985) within a disc, as DRAEM cuts its anomalies."""
    canvas = _canvas(1.6 * diameter)
    side = canvas.shape[0]
    height = _gradient_noise(side, max(2, int(generator.integers(3, 6))), generator)
    away = np.hypot(*(np.indices(canvas.shape) - (side - 1) / 2)) / (0.8 * diameter)
    # The largest tenths of what lies in the disc: a fixed level would sometimes leave nothing.
    height = np.where(away < 1, height, -np.inf)
    inside = height[np.isfinite(height)]
    return (height > np.quantile(inside, 0.6)).astype(np.float32)


def _gradient_noise(side: int, cells: int, generator: np.random.Generator) -> np.ndarray:
    """float64 [side,side]: Perlin's noise on a grid of `cells` cells in each direction."""
    angles = generator.uniform(0, 2 * math.pi, (cells + 1, cells + 1))
    gradients = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    place = (np.arange(side) + 0.5) / side * cells
    cell = np.minimum(place.astype(int), cells - 1)
    offset = place - cell
    fade = offset**3 * (offset * (6 * offset - 15) + 10)
    corners = {}
    for down in (0, 1):
        for right in (0, 1):
            of_corner = gradients[cell[:, None] + down, cell[None, :] + right]
            corners[down, right] = of_corner[..., 0] * (offset[None, :] - right) + of_corner[..., 1] * (
                offset[:, None] - down
            )
    x, y = fade[None, :], fade[:, None]
    above = corners[0, 0] * (1 - x) + corners[0, 1] * x
    below = corners[1, 0] * (1 - x) + corners[1, 1] * x
    return np.asarray(above * (1 - y) + below * y)


def _canvas(diameter: float) -> np.ndarray:
    side = max(5, math.ceil(diameter) + 2)
    return np.zeros((side, side), np.uint8)


def _filled(canvas: np.ndarray, outline: np.ndarray) -> np.ndarray:
    cv2.fillPoly(canvas, [np.round(outline).astype(np.int32)], 1)
    return canvas.astype(np.float32)
