"""Ground-truth masks: which pixels of an image are defective."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from records.assets.images import UploadLimits, open_rgb
from training.datasets.layouts.entries import DatasetRejected

_MASK_DARK, _MASK_BRIGHT, _MASK_BLURRED = 32, 223, 0.05


def open_mask(mask: bytes | Path, limits: UploadLimits) -> np.ndarray:
    """The defective pixels of a ground-truth mask, by the one rule that the scan checks masks with.

    Where the mask has at most two grey levels, everything that is not black is defective (0/255 and 0/1 alike). Where
    it has more, as after lossy compression or resizing, a pixel is defective above 127, if at most 5 % of the pixels
    lie between 32 and 223 and some lie above: anything softer is no mask.

    Args:
        mask: the bytes of the file, or its path.
        limits: of upload validation.

    Returns:
        bool [H, W], upright.

    Raises:
        ImageRejected: it is not an image that passes upload validation.
        DatasetRejected: `mask_mismatch`, it is coloured, cannot be binarised, or is black all over.
    """
    rgb = np.asarray(open_rgb(mask, limits))
    grey = rgb[..., 0]
    if not (rgb == grey[..., None]).all():
        raise DatasetRejected("it is coloured", code="mask_mismatch")
    levels = np.flatnonzero(np.bincount(grey.ravel(), minlength=256))
    if not levels.any():
        raise DatasetRejected("it is completely black", code="mask_mismatch")
    if len(levels) <= 2:
        return grey > 0
    blurred = ((grey >= _MASK_DARK) & (grey <= _MASK_BRIGHT)).mean()
    if levels[-1] <= _MASK_BRIGHT or blurred > _MASK_BLURRED:
        raise DatasetRejected(
            f"it has {len(levels)} grey levels from {levels[0]} to {levels[-1]} and cannot be made black and white",
            code="mask_mismatch",
        )
    return grey > 127
