"""How many millimetres a pixel of a camera's picture stands for: from a known length, or from a checkerboard."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_VARIATION_PERCENT = 2.0  # of the scale over the picture; above it sizes depend on where a defect lies
MIN_LENGTH_PX = 10
BOARD_CORNERS = (3, 60)  # inner corners along a side of a checkerboard
_MIN_SQUARE_PX = 6.0
_LONGER_SIDE = 2600  # pixels in which a board is searched; corners are refined in the whole picture


class ScaleError(ValueError):
    """The picture or the points give no scale; the text says why, as a sentence."""


@dataclass(frozen=True)
class Scale:
    """A scale and what it rests on.

    Attributes:
        mm_per_px: millimetres along one pixel, the same in both directions.
        uncertainty_percent: standard uncertainty (one sigma) of a length at this scale.
        variation_percent: by how much the scale differs over the board, largest less smallest, or between its two
            directions; None: not measured.
        spread_percent: standard deviation of the sides of the single squares; None for a known length.
        coverage_percent: how much of the picture the board covered; None: not measured.
        squares: how many were measured; None for a known length.
    """

    mm_per_px: float
    uncertainty_percent: float
    variation_percent: float | None = None
    spread_percent: float | None = None
    coverage_percent: float | None = None
    squares: int | None = None


Point = tuple[float, float]


def scale_from_length(
    first: Point, second: Point, *, length_mm: float, length_error_mm: float = 0.0, point_error_px: float = 1.0
) -> Scale:
    """The scale from a length that lies between two points of a picture.

    Args:
        first, second: (x, y) in pixels of the picture, from its upper left corner.
        length_mm: how long it is.
        length_error_mm: standard uncertainty of that length, such as that of the caliper.
        point_error_px: standard uncertainty of each of the two points.

    Raises:
        ScaleError: for points so near that the uncertainty is as good as the length, and for a length that is none.
    """
    length_px = math.dist(first, second)
    if not (math.isfinite(length_mm) and 0 < length_mm <= 1e6):
        raise ScaleError("The length is a number of millimetres above 0.")
    if not (math.isfinite(length_error_mm) and 0 <= length_error_mm < length_mm / 2):
        raise ScaleError("The uncertainty of the length is a number from 0 to half of the length.")
    if not (math.isfinite(point_error_px) and 0.1 <= point_error_px <= 100):
        raise ScaleError("The uncertainty of a point is a number of pixels from 0.1 to 100.")
    if not math.isfinite(length_px) or length_px < max(MIN_LENGTH_PX, 4 * point_error_px):
        raise ScaleError(
            f"The two points are {length_px:.1f} pixels apart, which is too near to tell a scale. Choose a longer "
            "length, if possible one across the whole picture."
        )
    relative = math.hypot(math.sqrt(2) * point_error_px / length_px, length_error_mm / length_mm)
    return Scale(length_mm / length_px, 100 * relative)


def scale_from_checkerboard(image: NDArray[np.uint8], *, columns: int, rows: int, square_mm: float) -> Scale:
    """The scale from a checkerboard that lies in the plane of the parts.

    The uncertainty is that of the mean of the squares (their spread by the root of their number), together with the
    change of the scale over the board (a defect may lie anywhere on it).

    Args:
        image: grey uint8 [H, W] or colour [H, W, 3].
        columns, rows: inner corners along the board's sides, where four squares meet.
        square_mm: side of a square.

    Raises:
        ScaleError: where no such board is found, and for numbers that are none.
    """
    low, high = BOARD_CORNERS
    if not (low <= columns <= high and low <= rows <= high):
        raise ScaleError(f"A board has {low} to {high} inner corners along each side.")
    if not (math.isfinite(square_mm) and 0 < square_mm <= 1e5):
        raise ScaleError("The side of a square is a number of millimetres above 0.")
    corners = find_corners(image, columns=columns, rows=rows)
    if corners is None:
        raise ScaleError(
            f"No checkerboard with {columns} x {rows} inner corners was found. Inner corners are those where four "
            "squares meet: a board of 10 x 7 squares has 9 x 6. The whole board must be in the picture, flat, in focus "
            "and evenly lit, with a white margin around it."
        )
    return _scale_of(corners, square_mm=square_mm, size=(image.shape[1], image.shape[0]))


def find_corners(image: NDArray[np.uint8], *, columns: int, rows: int) -> NDArray[np.float64] | None:
    """The inner corners of a board as float64 [rows, columns, 2] (x, y) in pixels of the image; None: there is none."""
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    factor = min(1.0, _LONGER_SIDE / max(grey.shape))
    small = grey if factor == 1.0 else cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    flags = cv2.CALIB_CB_NORMALIZE_IMAGE | cv2.CALIB_CB_EXHAUSTIVE | cv2.CALIB_CB_ACCURACY
    found, points = cv2.findChessboardCornersSB(np.ascontiguousarray(small), (columns, rows), flags=flags)
    if not found or points is None:
        return None
    corners = points.reshape(rows, columns, 2).astype(np.float64)
    # Pixel centres are whole numbers here and there; a smaller picture's lie between those of the whole one.
    corners = (corners + 0.5) / factor - 0.5
    nearest = min(float(lengths.min()) for lengths in _sides(corners))
    window = int(max(2, min(15, nearest / 3)))
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 50, 1e-3)
    start = corners.reshape(-1, 1, 2).astype(np.float32)
    refined = cv2.cornerSubPix(np.ascontiguousarray(grey), start, (window, window), (-1, -1), criteria)
    return np.asarray(refined.reshape(rows, columns, 2), dtype=np.float64)


def _sides(corners: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lengths in pixels between neighbours along the rows [r, c-1] and along the columns [r-1, c]."""
    along = np.linalg.norm(np.diff(corners, axis=1), axis=2)
    across = np.linalg.norm(np.diff(corners, axis=0), axis=2)
    return along, across


def _scale_of(corners: NDArray[np.float64], *, square_mm: float, size: tuple[int, int]) -> Scale:
    along, across = _sides(corners)
    # A square's side: the mean of its four, so that a square seen from aside counts with both directions.
    sides = (along[:-1] + along[1:] + across[:, :-1] + across[:, 1:]) / 4
    if sides.min() < _MIN_SQUARE_PX:
        raise ScaleError(
            f"The squares are about {sides.mean():.1f} pixels wide, too few to measure. Use a board of larger squares."
        )
    local, directions = _local_sides(corners)
    mean = float(local.mean())
    variation = max(float(np.ptp(local)) / mean, directions)
    spread = float(np.std(sides)) / mean
    outline = corners[[0, 0, -1, -1], [0, -1, -1, 0]].astype(np.float32)
    return Scale(
        mm_per_px=square_mm / mean,
        uncertainty_percent=100 * math.hypot(spread / math.sqrt(sides.size), variation / math.sqrt(12)),
        variation_percent=100 * variation,
        spread_percent=100 * spread,
        coverage_percent=100 * float(cv2.contourArea(outline)) / (size[0] * size[1]),
        squares=int(sides.size),
    )


def _local_sides(corners: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """The side of a square in pixels at each square's centre [rows - 1, columns - 1], and by which share the two
    directions of the board differ.

    From a smooth map of the board into the picture, fitted to all corners: a polynomial of the third degree holds what
    a tilt and an ordinary lens do, and single corners that are off by tenths of a pixel hardly move it.
    """
    rows, columns = corners.shape[:2]
    degree = 3 if min(rows, columns) >= 5 else 2
    v, u = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    powers = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
    design = np.stack([u**i * v**j for i, j in powers], axis=-1).reshape(-1, len(powers))
    solution, *_ = np.linalg.lstsq(design, corners.reshape(-1, 2), rcond=None)
    v, u = (np.asarray(grid[:-1, :-1] + grid[1:, 1:]) / 2 for grid in (v, u))
    zero = np.zeros_like(u)
    by_u = np.stack([i * u ** (i - 1) * v**j if i else zero for i, j in powers], axis=-1) @ solution
    by_v = np.stack([j * u**i * v ** (j - 1) if j else zero for i, j in powers], axis=-1) @ solution
    # A step of one square is this part of the length 2 from one edge of the board to the other.
    by_u, by_v = by_u * 2 / (columns - 1), by_v * 2 / (rows - 1)
    sides = np.sqrt(np.abs(by_u[..., 0] * by_v[..., 1] - by_u[..., 1] * by_v[..., 0]))
    along, across = (float(np.linalg.norm(step, axis=-1).mean()) for step in (by_u, by_v))
    return np.asarray(sides, dtype=np.float64), abs(along - across) / ((along + across) / 2)
