"""Where in a picture a defect may lie: on the part, where it lies before a plain background, else anywhere."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from modelzoo.detectors.preprocessing.alignment import difference
from modelzoo.detectors.preprocessing.illumination import Background

# Part and background are told apart in a picture with this longer side.
_SIDE = 256
# What covers less of the picture is dust on a texture rather than a part; what covers more leaves no background.
_MIN_AREA, _MAX_AREA = 0.02, 0.9


@dataclass(frozen=True)
class Part:
    """The part in a picture.

    Attributes:
        mask: bool [h,w], true where a defect may lie.
        background: what lies around it; None where the picture is all part.
        extent: side of the square that is as large as the mask, pixels: sizes of defects are shares of it.
        spread: grey levels between its darkest and its brightest twentieth: contrasts are shares of it.
    """

    mask: np.ndarray
    background: Background | None
    extent: float
    spread: float

    @classmethod
    def find(cls, pixels: np.ndarray, inspected: np.ndarray | None = None) -> Part:
        """In uint8 [h,w,3]. `inspected`: bool [h,w], false where nobody looks; default: everywhere."""
        height, width = pixels.shape[:2]
        factor = min(1.0, _SIDE / max(height, width))
        size = (max(8, round(width * factor)), max(8, round(height * factor)))
        picture = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
        background = Background.of(picture)
        mask = np.ones((height, width), dtype=bool)
        is_before_background = False
        if background.is_usable:
            found = _foreground(picture, background)
            is_before_background = _MIN_AREA <= found.mean() <= _MAX_AREA
            if is_before_background:
                mask = cv2.resize(found, (width, height), interpolation=cv2.INTER_NEAREST) > 0
        if inspected is not None and (mask & inspected).any():
            mask = mask & inspected
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        dark, bright = np.percentile(grey[mask], [5, 95])
        return cls(mask, background if is_before_background else None, float(np.sqrt(mask.sum())), float(bright - dark))


def _foreground(picture: np.ndarray, background: Background) -> np.ndarray:
    """uint8 [h,w]: what differs clearly from the background, holes filled, without specks."""
    distance = difference(picture, background)
    otsu = cv2.threshold(distance, 0, 255, cv2.THRESH_OTSU)[0]
    contrast = max(otsu, 4 * float(background.noise.max()))
    binary = (distance > contrast).astype(np.uint8)
    closed = cv2.morphologyEx(binary, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    contours, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    mask = np.zeros_like(binary)
    largest = max((cv2.contourArea(contour) for contour in contours), default=0)
    pieces = [contour for contour in contours if cv2.contourArea(contour) >= 0.25 * largest]
    cv2.drawContours(mask, pieces, -1, 1, cv2.FILLED)
    return mask
