"""Where on a part the defects lie: connected places of an anomaly map above the threshold."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


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
    # In double precision, as the score is compared: a threshold rounded to float32 could contradict the verdict.
    above = anomaly_map > np.float64(threshold)
    if not above.any():
        return []
    count, labels, stats, _ = cv2.connectedComponentsWithStats(above.view(np.uint8), connectivity=8)
    rows, columns = np.nonzero(above)
    values = anomaly_map[rows, columns]
    owners: NDArray[np.int32] = labels[rows, columns].astype(np.int32)
    peaks = np.full(count, -np.inf, dtype=anomaly_map.dtype)
    np.maximum.at(peaks, owners, values)
    highest = np.flatnonzero(values == peaks[owners])
    _, first = np.unique(owners[highest], return_index=True)  # `nonzero` goes in reading order
    found = []
    for place in highest[first]:
        x, y, width, height, area = (int(number) for number in stats[owners[place]])
        found.append(Region(x, y, width, height, area, float(values[place]), int(columns[place]), int(rows[place])))
    return sorted(found, key=lambda region: (-region.peak, region.peak_y, region.peak_x))
