"""Regions that are not judged: a printed date, a fixture. A person paints them, a model carries them.

A mask is painted on a mean good image: of the images as they are, or of those that another model sees (turned and
cropped to the part). In a model it lies in the frame of the model's input, so that under pose alignment it moves with
the part. What it covers is replaced, in good images as in those that are judged, by the mean good image: the network
sees the same there in every picture, so that nothing below the mask reaches features, memory, loss or score. The
anomaly map is 0 there (`Smoothing`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import cv2
import numpy as np
import torch
from PIL import Image

from modelzoo.detectors.errors import DetectorError, NotComparable
from modelzoo.detectors.preprocessing.coordinates import rescaling
from modelzoo.detectors.tensor_names import IGNORE_FILL, IGNORE_MASK

if TYPE_CHECKING:
    from modelzoo.detectors.preprocessing.pipeline import DecodedImages, Frame, PreparedImage, Preprocessing

# How well the good images have to agree on where the mask lies on the part: the mean overlap (intersection over union)
# of the mask as each of them places it with the mask of the majority. Parts that lie at any angle reach some 10 %.
MIN_AGREEMENT = 0.5
# A mask may be so much wider or narrower than the images, by rounding of a smaller copy.
MAX_ASPECT_DIFFERENCE = 0.02
# Less of the picture than this is not worth a model.
MIN_JUDGED_SHARE = 0.01


@dataclass(frozen=True)
class PaintedMask:
    """What a person painted.

    Attributes:
        pixels: bool [h,w], true where nothing is judged.
        preprocessing: that of the model on whose mean image it was painted; None: on the images as they are.
    """

    pixels: np.ndarray
    preprocessing: Preprocessing | None = None

    def check_aspect(self, width: int, height: int) -> None:
        """Raises DetectorError where the mask cannot have been painted on images of this size."""
        mask_height, mask_width = self.pixels.shape
        if abs(mask_width * height / (mask_height * width) - 1) > MAX_ASPECT_DIFFERENCE:
            raise DetectorError(
                f"The mask of what is ignored has {mask_width} x {mask_height} pixels, which is another shape than "
                f"{width} x {height}, that of the images. Draw it on an image of this data set."
            )

    def placed(self, image: Image.Image, frame: Frame, size: tuple[int, int]) -> np.ndarray:
        """The mask as this image places it in the model's pixels: float32 [H,W], 0..1.

        Raises:
            NotComparable: when the part cannot be found by the model on whose mean image the mask was painted.
        """
        # What is shrunk by the warp is averaged first, or a thin stroke would be missed.
        shrink = min(1.0, 2 * max(size) / max(self.pixels.shape))
        height, width = (max(1, round(side * shrink)) for side in self.pixels.shape)
        mask = cv2.resize(self.pixels.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        if self.preprocessing is None:
            self.check_aspect(image.width, image.height)
            to_mask = rescaling(width / image.width, height / image.height)
        else:
            painted_on = self.preprocessing.size
            to_mask = rescaling(width / painted_on[1], height / painted_on[0]) @ self.preprocessing.prepare(
                image
            ).frame.to_model(painted_on)
        matrix = to_mask @ np.linalg.inv(frame.to_model(size))
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        # Beyond its edge the mask goes on as it is there: a fixture at the border reaches over it.
        return np.asarray(
            cv2.warpAffine(mask, matrix[:2], size[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32
        )


@dataclass(frozen=True)
class IgnoreMask:
    """What a model does not judge.

    Attributes:
        ignored: bool [H,W] in the model's pixels.
        fill: uint8 [n,3], what the model sees there instead, in the order of the ignored pixels: the mean good image.
        agreement: mean overlap of the mask as each good image places it with this one; 1 without pose alignment.
    """

    ignored: np.ndarray
    fill: np.ndarray
    agreement: float

    @classmethod
    def fit(
        cls, painted: PaintedMask, preprocessing: Preprocessing, images: DecodedImages, indices: Sequence[int]
    ) -> Self:
        """The mask in the frame of a fitted preprocessing, from some of the good images.

        Raises:
            DetectorError: when it covers nothing or everything, has another shape than the images, or lies on another
                place of the part in each of them.
        """
        size = preprocessing.size

        def place(image: Image.Image) -> tuple[PreparedImage, np.ndarray] | None:
            try:
                prepared = preprocessing.prepare(image)
                return prepared, painted.placed(image, prepared.frame, size)
            except NotComparable:
                return None

        total = np.zeros((*size, 3))
        votes: list[np.ndarray] = []
        for pair in images.map(place, indices):
            if pair is not None:
                total += pair[0].pixels.permute(1, 2, 0).numpy()
                votes.append(pair[1] >= 0.5)
        if not votes:
            raise DetectorError("The mask cannot be placed: the part was found in none of the good images.")
        ignored = np.mean(votes, axis=0, dtype=np.float32) >= 0.5
        overlaps = [float((vote & ignored).sum() / max(1, (vote | ignored).sum())) for vote in votes]
        agreement = float(np.mean(overlaps))
        if any(vote.any() for vote in votes) and agreement < MIN_AGREEMENT:
            raise DetectorError(
                f"The mask lies on another place of the part in each image (overlap {100 * agreement:.0f} %, it takes "
                f"{100 * MIN_AGREEMENT:.0f} %): the parts are turned, and the mask was drawn on images that are not. "
                "Draw it on the aligned mean image of a version, or train with align none if it covers a fixture that "
                "does not turn with the part."
            )
        check_share(float(ignored.mean()))
        mean = total / len(votes)
        return cls(np.asarray(ignored), np.clip(mean[ignored] + 0.5, 0, 255).astype(np.uint8), agreement)

    @property
    def share(self) -> float:
        """Of the model's pixels, how many are ignored."""
        return float(self.ignored.mean())

    def cover(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [H,W,3] with the mean good image in place of what is ignored."""
        covered = pixels.copy()
        covered[self.ignored] = self.fill
        return covered

    def describe(self) -> dict[str, float]:
        """JSON-safe; with `tensors` it is everything."""
        return {"share": self.share, "agreement": self.agreement}

    def tensors(self) -> dict[str, torch.Tensor]:
        return {IGNORE_MASK: torch.from_numpy(self.ignored), IGNORE_FILL: torch.from_numpy(self.fill)}

    @classmethod
    def restore(
        cls, description: Mapping[str, float], tensors: Mapping[str, torch.Tensor], size: tuple[int, int]
    ) -> Self:
        """The inverse of `describe` and `tensors`, for a model's input of this size."""
        mask, fill = tensors[IGNORE_MASK], tensors[IGNORE_FILL]
        n_ignored = int(mask.sum())
        if mask.dtype != torch.bool or tuple(mask.shape) != size or not 0 < n_ignored < mask.numel():
            raise DetectorError("The mask of what is ignored does not have the model's input size.")
        if fill.dtype != torch.uint8 or tuple(fill.shape) != (n_ignored, 3):
            raise DetectorError("What fills the ignored regions does not fit the mask.")
        return cls(mask.numpy(), fill.numpy(), float(description["agreement"]))


def check_share(share: float) -> None:
    """Raises DetectorError for a mask with which there would be nothing to ignore, or nothing to judge."""
    if share <= 0:
        raise DetectorError("The mask of what is ignored is empty: nothing of the image would be ignored.")
    if share > 1 - MIN_JUDGED_SHARE:
        raise DetectorError(
            f"The mask covers {100 * share:.4g} % of the image: nothing would be judged. Leave free what matters."
        )
