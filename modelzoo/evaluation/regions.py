"""Where on a part the defects lie: connected places of an anomaly map above the threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np


@dataclass(frozen=True)
class Region:
    """One connected place, in pixels of the map; the origin is the upper left corner of the image.

    Attributes:
        x, y, width, height: the smallest box around it; x counts to the right, y down.
        area_px: number of its pixels.
        peak: its highest value, in the unit of the score.
        peak_x, peak_y: the pixel with that value, the first in reading order where several share it.
    """

    x: int
    y: int
    width: int
    height: int
    area_px: int
    peak: float
    peak_x: int
    peak_y: int


def defect_regions(anomaly_map: np.ndarray, threshold: float) -> list[Region]:
    """The connected places (8 neighbours) of an anomaly map [H, W] whose values lie above the threshold.

    The one with the highest peak comes first; of equal ones the one that is met first in reading order.

    Raises:
        ValueError: when the map has not two dimensions.
    """
    if anomaly_map.ndim != 2:
        raise ValueError(f"an anomaly map has two dimensions, this one has shape {anomaly_map.shape}")
    above = (anomaly_map > _largest_not_above(threshold, anomaly_map.dtype)).view(np.uint8)
    left, top, width, height = cv2.boundingRect(above)
    if not width:
        return []
    inner = slice(top, top + height), slice(left, left + width)
    values = anomaly_map[inner]
    _, labels, stats, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(above[inner]), connectivity=8)
    regions = []
    for label, (x, y, width, height, area) in enumerate(stats[1:].tolist(), start=1):
        box = slice(y, y + height), slice(x, x + width)
        inside = np.where(labels[box] == label, values[box], -np.inf)
        row, column = divmod(int(inside.argmax()), width)
        peak = float(inside[row, column])
        regions.append(Region(left + x, top + y, width, height, area, peak, left + x + column, top + y + row))
    return sorted(regions, key=lambda region: (-region.peak, region.peak_y, region.peak_x))


def outlines(mask: np.ndarray) -> list[list[list[int]]]:
    """Closed polygons [[x, y], ...] around the true pixels of bool [H, W], straight lines where a pixel's difference is
    not seen. One inside another is a hole."""
    tolerance = max(0.5, max(mask.shape) / 1000)
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    polygons = (cv2.approxPolyDP(contour, tolerance, True)[:, 0] for contour in contours)
    return [polygon.tolist() for polygon in polygons if len(polygon) > 2]


def _largest_not_above(threshold: float, dtype: np.dtype[Any]) -> np.floating[Any]:
    """The largest number of a floating type that is not above the threshold: values compare with it as with the
    threshold itself, which rounding could lift over a value that lies above it."""
    rounded = dtype.type(threshold)
    return np.nextafter(rounded, dtype.type(-np.inf)) if float(rounded) > threshold else rounded
