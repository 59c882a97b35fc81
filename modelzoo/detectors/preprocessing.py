"""From a decoded image to the model's input, and from the model's pixels back to the image's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from modelzoo.detectors.errors import DetectorError


@dataclass(frozen=True)
class Frame:
    """Where the model's pixels lie in the original image.

    Attributes:
        height, width: size of the original image in pixels.
    """

    height: int
    width: int

    def to_original(self, anomaly_map: np.ndarray) -> np.ndarray:
        """An anomaly map in model pixels, float32 [h,w], brought to the original image's pixels: float32 [H,W].

        Bilinear with half-pixel centres; values keep their unit and never leave the range of the input.
        """
        if anomaly_map.ndim != 2:
            raise DetectorError(f"An anomaly map has two dimensions, this one has shape {anomaly_map.shape}.")
        resized = cv2.resize(
            np.ascontiguousarray(anomaly_map, dtype=np.float32),
            (self.width, self.height),
            interpolation=cv2.INTER_LINEAR,
        )
        return np.asarray(resized, dtype=np.float32)


@dataclass(frozen=True)
class Prepared:
    """One image, ready for a detector.

    Attributes:
        pixels: uint8 [3,H,W], RGB, on the CPU.
        frame: how to bring a map of it back to the original image.
    """

    pixels: torch.Tensor
    frame: Frame


class Preprocessing:
    """Resizes to the model's input, `height` x `width` pixels, with an antialiasing filter.

    The aspect ratio is not kept: the whole image is compared, and all images of one station have the same shape.
    """

    def __init__(self, height: int, width: int) -> None:
        self.height = height
        self.width = width

    def prepare(self, image: Image.Image) -> Prepared:
        """Resize an RGB image (Pillow's bilinear filter widens with the reduction, which is the antialiasing).

        Raises:
            DetectorError: when the image is not in mode RGB; conversions are the caller's decision.
        """
        if image.mode != "RGB":
            raise DetectorError(f"The detector expects an RGB image, not one in mode {image.mode}.")
        frame = Frame(height=image.height, width=image.width)
        resized = image.resize((self.width, self.height), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(resized, dtype=np.uint8)).permute(2, 0, 1).contiguous()
        return Prepared(pixels, frame)

    def describe(self) -> dict[str, Any]:
        """JSON-safe description for the artifact's manifest."""
        return {"resize": {"height": self.height, "width": self.width, "filter": "bilinear, antialiased"}}
