"""Which preprocessing suits a product, decided from good images alone, with the evidence.

The measure is the residual variance ratio: which share of the variance of one good picture the mean of all other good
pictures does not explain. Alignment is chosen when it lowers that clearly; it does not for a part that a fixture holds,
for a texture, and for a picture filled by its part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from modelzoo.detectors.config import MAX_INPUT_PIXELS
from modelzoo.detectors.errors import DetectorError, NotComparable
from modelzoo.detectors.preprocessing.alignment import MIN_SEGMENTED_SHARE, PoseAlignment, SegmentedParts, foreground
from modelzoo.detectors.preprocessing.illumination import MIN_LEVEL, Background, FlatField

# Pictures are compared at this size: what fine texture does is not the question.
COMPARED_SIDE = 64
# Alignment has to explain at least a tenth of the picture, and a fifth of what stays unexplained without it.
MIN_GAIN, MIN_RELATIVE_GAIN = 0.1, 0.2
# A lamp that moves brightness by less, between pictures or across one, is not worth correcting.
MIN_CHANGE, MIN_SLOPE = 0.01, 0.03
MIN_IMAGES = 4
# Sides of the input: whole positions of every layer of a network.
SIZE_STEP = 16


class GoodPictures:
    """Good pictures with their backgrounds and parts.

    Args:
        pictures: float32 [h,w,3] in grey levels.
    """

    def __init__(self, pictures: Sequence[np.ndarray]) -> None:
        self.pictures = pictures
        self.backgrounds = [Background.of(picture) for picture in pictures]

    @cached_property
    def parts(self) -> SegmentedParts:
        return SegmentedParts.find(self.pictures, self.backgrounds)


def residual_variance_ratio(views: Sequence[np.ndarray]) -> float:
    """Share of the variance of pictures [h,w,...] that the mean of the other pictures leaves unexplained, each pixel
    at its place: 0 when all are alike, about 1 when the place says nothing."""
    stack = np.stack(views).astype(np.float64)
    n = len(stack)
    # Leaving one picture out of the mean enlarges its distance from it by n / (n - 1).
    residual = ((stack - stack.mean(axis=0)) * (n / (n - 1))) ** 2
    total = (stack - stack.mean(axis=(0, 1, 2))) ** 2
    return float(residual.sum() / max(float(total.sum()), 1e-9))


def decide_size(own_sizes: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], dict[str, Any]]:
    """Height and width of the model's input: the median of the good images' own, within `MAX_INPUT_PIXELS`, and why."""
    height, width = np.median(np.array(own_sizes), axis=0)
    shrink = min(1.0, math.sqrt(MAX_INPUT_PIXELS / (height * width)))
    size = _whole_steps(shrink * height), _whole_steps(shrink * width)
    alike = sum(own_size == (height, width) for own_size in own_sizes) / len(own_sizes)
    because = f"the good images have {width:.0f}x{height:.0f} pixels"
    if alike < 1:
        because = (
            f"the median of the good images is {width:.0f}x{height:.0f} pixels; {100 * (1 - alike):.0f} % have others"
        )
    if shrink < 1:
        because += f", more than the {MAX_INPUT_PIXELS / 1e6:.1f} million that a model may have, so they are reduced"
    return size, {"chosen": f"{size[1]}x{size[0]}", "because": because, "images_examined": len(own_sizes)}


def _whole_steps(side: float) -> int:
    return max(2, round(side / SIZE_STEP)) * SIZE_STEP


def decide_illumination(good: GoodPictures, requested: str) -> tuple[FlatField | None, dict[str, Any]]:
    """Flat field or none, and why.

    Raises:
        DetectorError: when it was requested and there is no background to correct by.
    """
    if requested == "none":
        return None, {"chosen": "none", "because": "it was requested"}
    backgrounds, parts = good.backgrounds, good.parts
    evidence: dict[str, Any] = {"images_examined": len(backgrounds), "part_before_background": parts.share}
    obstacle = ""
    if parts.share < MIN_SEGMENTED_SHARE:
        obstacle = f"a part on an even background was found in only {100 * parts.share:.0f} % of the good images"
    else:
        levels = np.array([background.level for background in backgrounds])
        slopes = [_slope(background) for background in backgrounds]
        evidence |= {
            "background_level": levels.mean(axis=0).round(2).tolist(),
            "change_between_images": float((levels.std(axis=0) / np.maximum(levels.mean(axis=0), 1)).max()),
            "slope_across_an_image": float(np.median(slopes)),
        }
        if levels.min() < MIN_LEVEL:
            obstacle = "the background is too dark to measure the lighting"
    if obstacle:
        if requested == "flatfield":
            raise DetectorError(f"A flat field cannot be fitted: {obstacle}. Use illumination none or auto.")
        return None, {"chosen": "none", "because": obstacle, **evidence}
    flat_field = FlatField.fit(backgrounds)
    if requested == "flatfield":
        return flat_field, {"chosen": "flatfield", "because": "it was requested", **evidence}
    change, slope = evidence["change_between_images"], evidence["slope_across_an_image"]
    if len(backgrounds) < MIN_IMAGES:
        return None, {"chosen": "none", "because": "there are too few good images to decide", **evidence}
    if change < MIN_CHANGE and slope < MIN_SLOPE:
        because = (
            f"the lighting is steady: it changes by {100 * change:.1f} % between images and "
            f"{100 * slope:.1f} % within an image"
        )
        return None, {"chosen": "none", "because": because, **evidence}
    because = (
        f"there is a background, and the lighting changes by {100 * change:.1f} % between images and "
        f"{100 * slope:.1f} % within an image"
    )
    return flat_field, {"chosen": "flatfield", "because": because, **evidence}


def decide_pose(
    good: GoodPictures, requested: str, image_size: tuple[int, int], scale: float | None = None
) -> tuple[PoseAlignment | None, dict[str, Any]]:
    """Pose alignment or none, and why.

    Args:
        image_size, scale: see `PoseAlignment.fit`.

    Raises:
        DetectorError: when it was requested and the good images do not allow it.
    """
    if requested == "none":
        return None, {"chosen": "none", "because": "it was requested"}
    evidence: dict[str, Any] = {"images_examined": len(good.pictures)}
    try:
        alignment, alignment_evidence = PoseAlignment.fit(
            good.pictures, good.backgrounds, good.parts, image_size, scale
        )
    except DetectorError as error:
        if requested == "pose":
            raise DetectorError(f"The parts cannot be aligned: {error} Use align none or auto.") from error
        return None, {"chosen": "none", "because": str(error), **evidence}
    evidence |= alignment_evidence
    if requested == "pose":
        return alignment, {"chosen": "pose", "because": "it was requested", **evidence}
    if len(good.pictures) < MIN_IMAGES:
        return None, {"chosen": "none", "because": "there are too few good images to decide", **evidence}
    foregrounds = [foreground(*pair) for pair in zip(good.pictures, good.backgrounds, strict=True)]
    before = residual_variance_ratio(_resized_to_median(foregrounds))
    aligned = []
    for picture, background in zip(good.pictures, good.backgrounds, strict=True):
        try:
            aligned.append(alignment.aligned_view(picture, background))
        except NotComparable:
            continue
    evidence["aligned"] = len(aligned) / len(good.pictures)
    if evidence["aligned"] < MIN_SEGMENTED_SHARE:
        because = f"only {100 * evidence['aligned']:.0f} % of the good images could be aligned"
        return None, {"chosen": "none", "because": because, **evidence}
    after = residual_variance_ratio(_resized_to_median(aligned))
    evidence |= {"unexplained_without": before, "unexplained_with": after}
    because = (
        f"the other good parts leave {100 * before:.0f} % of an image unexplained without alignment and "
        f"{100 * after:.0f} % with it"
    )
    if after > min((1 - MIN_RELATIVE_GAIN) * before, before - MIN_GAIN):
        return None, {"chosen": "none", "because": because, **evidence}
    return alignment, {"chosen": "pose", "because": because, **evidence}


def _slope(background: Background) -> float:
    """How much the background changes across one picture, as a share of its level."""
    surface = background.surface(8, 8)
    spread = surface.max(axis=(0, 1)) - surface.min(axis=(0, 1))
    return float((spread / np.maximum(background.level, 1)).max())


def _resized_to_median(pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Pictures [h,w,...] reduced to the median of their shapes, as the model sees them without alignment: stretched."""
    sides = np.array([picture.shape[:2] for picture in pictures], dtype=float)
    height, width = np.median(sides * (COMPARED_SIDE / sides.max(axis=1, keepdims=True)), axis=0)
    size = (max(4, round(width)), max(4, round(height)))
    return [
        np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.float32) for picture in pictures
    ]
