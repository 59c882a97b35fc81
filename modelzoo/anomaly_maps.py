"""Anomaly maps as files and as pictures. NumPy and OpenCV only: the web serves these without torch."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

MEDIA_TYPE = "image/png"
_LEVELS = 65535
_LAYER = (512, 1024)  # pixels; a thin line needs some, a screen shows no more
_MAX_DENSITY = 120  # of 255: how much of the image the map covers at most
_MAX_SIDE = 512  # pixels; a map is smooth, and a record is kept for good
# The filter that suits a smooth picture is worth more than the levels of compression above the first, and after it a
# search for repeated bytes finds nearly none: without it a map takes half the time and a tenth more bytes.
_SMOOTH = [
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY),
]


def reduce_map(anomaly_map: NDArray[np.float32]) -> NDArray[np.float32]:
    """A map [H, W] of an image's own pixels as it is kept: [h, w], the longer side at most 512, the aspect ratio kept.

    Each pixel of the result is the highest value of the block that it stands for, so that no place which crosses the
    threshold is lost. Every pixel belongs to exactly one block. A small map stays as it is.
    """
    height, width = anomaly_map.shape
    factor = min(1.0, _MAX_SIDE / max(height, width))
    if factor == 1.0:
        return anomaly_map
    lower = _highest_of_blocks(anomaly_map, max(1, round(height * factor)), axis=0)
    return _highest_of_blocks(lower, max(1, round(width * factor)), axis=1)


def _highest_of_blocks(values: NDArray[np.float32], blocks: int, axis: int) -> NDArray[np.float32]:
    """The highest value of each of `blocks` groups of neighbouring rows (axis 0) or columns (axis 1).

    All first members are compared with all second ones and so on: far faster than `reduceat`, group by group.
    """
    bounds = np.arange(blocks + 1) * values.shape[axis] // blocks
    starts, last = bounds[:-1], bounds[1:] - 1
    highest = values.take(starts, axis)
    for step in range(1, int((last - starts).max()) + 1):
        np.maximum(highest, values.take(np.minimum(starts + step, last), axis), out=highest)
    return highest


def encode_map(anomaly_map: NDArray[np.float32]) -> tuple[bytes, float]:
    """An anomaly map [H, W] (values >= 0) as 16-bit PNG and the value of its highest level.

    A value is kept to 1/131070 of the map's maximum. Raises ValueError for values that are not finite.
    """
    maximum = float(anomaly_map.max())
    if not np.isfinite(anomaly_map).all():
        raise ValueError("an anomaly map must be finite")
    scale = _LEVELS / maximum if maximum > 0 else 0.0
    levels = np.multiply(anomaly_map, scale, dtype=np.float64)
    levels = np.rint(np.maximum(levels, 0, out=levels), out=levels).astype(np.uint16)
    done, data = cv2.imencode(".png", levels, _SMOOTH)
    if not done:
        raise ValueError(f"a map of shape {anomaly_map.shape} cannot be written as PNG")
    return data.tobytes(), maximum


def decode_map(data: bytes, maximum: float) -> NDArray[np.float32]:
    """The anomaly map [H, W] float32 that `encode_map` wrote."""
    levels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if levels is None or levels.dtype != np.uint16 or levels.ndim != 2:
        raise ValueError("not an anomaly map written by this system")
    return (levels.astype(np.float64) * (maximum / _LEVELS)).astype(np.float32)


def render_heat(anomaly_map: NDArray[np.float32], *, threshold: float, width: int, height: int) -> bytes:
    """The map as a transparent PNG that lies on the image; its longer side has 512 to 1024 pixels.

    The scale hangs on the threshold alone, never on the picture, so two pictures can be compared: clear below half
    the threshold, inferno from there to twice the threshold, a line where the threshold is crossed. Even where it is
    densest more than half of what lies below shows through; the line is never transparent. The legend beside it
    (templates/partials/viewer.html) has the same colours, written by hand.
    """
    longer = max(width, height)
    factor = min(max(longer, _LAYER[0]), _LAYER[1]) / longer
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    values = cv2.resize(anomaly_map, size, interpolation=cv2.INTER_LINEAR)
    relative = np.asarray(values, dtype=np.float32) / max(threshold, 1e-30)
    place = np.clip((relative - 0.5) / 1.5, 0.0, 1.0)
    heat = cv2.applyColorMap((place * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    # Thin near the threshold, where the outline says it all, and never so thick that the defect is hidden below it.
    alpha = (place * _MAX_DENSITY).astype(np.uint8)
    layer = np.dstack([heat, alpha])
    contours, _ = cv2.findContours((relative > 1).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    thick = max(1, round(max(size) / 300))
    cv2.drawContours(layer, contours, -1, (0, 0, 0, 255), thick + 2, cv2.LINE_AA)
    cv2.drawContours(layer, contours, -1, (255, 255, 255, 255), thick, cv2.LINE_AA)
    done, data = cv2.imencode(".png", layer, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not done:
        raise ValueError("the overlay cannot be written as PNG")
    return data.tobytes()
