"""From a decoded image to the model's input, and from the model's pixels back to the image's.

Illumination, pose and region are learned from good images alone, stored in the artifact, and applied in one go: the
picture is resampled once, whatever is done to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

import cv2
import numpy as np
import torch
from PIL import Image

from common.pixels.sixteen_bit import Window, histogram, is_sixteen_bit
from modelzoo.detectors.config import NATIVE_SIZE
from modelzoo.detectors.errors import DetectorError, NotComparable
from modelzoo.detectors.preprocessing.alignment import Pose, PoseAlignment
from modelzoo.detectors.preprocessing.choice import GoodPictures, decide_illumination, decide_pose, decide_size
from modelzoo.detectors.preprocessing.coordinates import rescaling, translation
from modelzoo.detectors.preprocessing.grey_window import DECIDE, GreyWindow, decide_window
from modelzoo.detectors.preprocessing.ignore_mask import IgnoreMask, PaintedMask
from modelzoo.detectors.preprocessing.illumination import Background, FlatField
from modelzoo.detectors.preprocessing.input_check import Finding, ImageSummary, describe_cells, grey_view, view_of
from modelzoo.detectors.preprocessing.input_rules import SIXTEEN_BIT_PICTURE, colourfulness

T = TypeVar("T")

# Longer side of the pictures in which background and part are looked for.
PICTURE_SIDE = 256
# Good images from which the preprocessing is learned, evenly spaced over all of them.
SAMPLE_SIZE = 96
TENSOR_PREFIX = "alignment."


@runtime_checkable
class DecodedImages(Protocol):
    """Decoded images of any size, mode RGB; 16-bit grey ones (`I;16`) as they are while no window is decided."""

    def __len__(self) -> int: ...

    def map(self, function: Callable[[Image.Image], T], indices: Sequence[int] | None = None) -> Iterable[T]:
        """`function` of each image, in the order of `indices` (default: all, in order)."""
        ...


@dataclass(frozen=True)
class Frame:
    """Where the model's pixels lie in the original image.

    Attributes:
        height, width: size of the original image in pixels.
        box: left, top, right, bottom of the region that was looked at, in its pixels.
        matrix: float64 [2,3], coordinates of the original image to the model's, or None where the region was only
            resized.
    """

    height: int
    width: int
    box: tuple[int, int, int, int]
    matrix: np.ndarray | None = None

    def to_original(self, anomaly_map: np.ndarray) -> np.ndarray:
        """An anomaly map in model pixels, float32 [h,w], brought to the original image's pixels: float32 [H,W].

        Bilinear with half-pixel centres; values keep their unit and never leave the range of the input, except that
        pixels which were not looked at are 0.
        """
        if anomaly_map.ndim != 2:
            raise DetectorError(f"An anomaly map has two dimensions, this one has shape {anomaly_map.shape}.")
        source = np.ascontiguousarray(anomaly_map, dtype=np.float32)
        if self.matrix is not None:
            warped = cv2.warpAffine(
                source, self.matrix, (self.width, self.height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            )
            return np.asarray(warped, dtype=np.float32)
        left, top, right, bottom = self.box
        resized = cv2.resize(source, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
        if (left, top, right, bottom) == (0, 0, self.width, self.height):
            return np.asarray(resized, dtype=np.float32)
        whole = np.zeros((self.height, self.width), dtype=np.float32)
        whole[top:bottom, left:right] = resized
        return whole

    def to_model(self, size: tuple[int, int]) -> np.ndarray:
        """float64 [3,3], coordinates of the original image to those of the model's input, height and width `size`."""
        if self.matrix is not None:
            return np.vstack([self.matrix, [0, 0, 1]])
        left, top, right, bottom = self.box
        return rescaling(size[1] / (right - left), size[0] / (bottom - top)) @ translation(-left, -top)


@dataclass(frozen=True)
class PreparedImage:
    """One image, ready for a detector.

    Attributes:
        pixels: uint8 [3,H,W], RGB, on the CPU.
        frame: how to bring a map of it back to the original image.
        view: uint8 [128,128,3], the picture before light and pose were corrected (see `input_check`); None where the
            picture as a whole is of no interest.
        findings: what is odd about the picture, though it is judged.
        alignment_residual: 1 - correlation with the mean good picture, after the pose was aligned where it is; None
            where there is none to compare with.
        distance: of the picture as a whole from the training images (see `input_check`); None where nobody asked.
        ignored: bool [H,W] in the model's pixels, what is not judged; None where everything is.
    """

    pixels: torch.Tensor
    frame: Frame
    view: np.ndarray | None = None
    findings: tuple[Finding, ...] = ()
    alignment_residual: float | None = None
    distance: float | None = None
    ignored: np.ndarray | None = None

    def ignored_in_original(self) -> np.ndarray | None:
        """`ignored` in the original image's pixels, bool [H,W]."""
        return None if self.ignored is None else self.frame.to_original(self.ignored.astype(np.float32)) >= 0.5


def as_batch(images: Sequence[PreparedImage]) -> torch.Tensor:
    """Prepared images of one size as a batch: uint8 [B,3,H,W]."""
    return torch.stack([image.pixels for image in images])


class Preprocessing:
    """Window of 16-bit values, region of interest, illumination, pose and size, in this order.

    Args:
        height, width: of the model's input; 0 and 0: as the good images are, or as large as the part is in them. Under
            pose alignment a square only says how many pixels: they are laid out in the part's own aspect ratio. Without
            it the picture is resized with an antialiasing filter and its aspect ratio is not kept: all images of one
            station have the same shape.
        illumination: auto, none or flatfield.
        align: auto, none or pose.
        region: left, top, right, bottom of the inspected area, as shares of the image (0..1).
        window_option: black and white of 16-bit images, or `DECIDE`.

    Attributes:
        window: black and white of 16-bit images; None where all good images have 8 bits, and before `fit`.
        flat_field, alignment: what was learned; None where it is not applied.
        ignore_mask: what is not judged; None where everything is.
        decisions: what was chosen and why, JSON-safe; empty before `fit`.
        excluded: good images that could not be compared: their index and the reason.
    """

    def __init__(
        self,
        height: int,
        width: int,
        *,
        illumination: str = "none",
        align: str = "none",
        region: tuple[float, float, float, float] = (0, 0, 1, 1),
        window_option: Window = DECIDE,
    ) -> None:
        self.height = height
        self.width = width
        self.illumination = illumination
        self.align = align
        self.region = region
        self.window_option = window_option
        self.window: GreyWindow | None = None
        self.flat_field: FlatField | None = None
        self.alignment: PoseAlignment | None = None
        self.ignore_mask: IgnoreMask | None = None
        self.decisions: dict[str, Any] = {}
        self.excluded: list[dict[str, Any]] = []

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the model's input; under pose alignment, and for the images' own, known after `fit`."""
        return self.alignment.size if self.alignment is not None else (self.height, self.width)

    @property
    def is_plain(self) -> bool:
        """Whether images are only cropped and resized, which every image can be."""
        return self.flat_field is None and self.alignment is None

    def fit(self, images: DecodedImages, painted: PaintedMask | None = None) -> Self:
        """Decide and learn from good images.

        Args:
            painted: what is not to be judged.

        Raises:
            DetectorError: when flatfield or pose was asked for and the good images do not allow it, or when the mask
                does not fit them.
        """
        indices = np.unique(np.linspace(0, len(images) - 1, min(SAMPLE_SIZE, len(images))).round().astype(int)).tolist()
        decisions = self._decide_window(images, indices)
        is_native = (self.height, self.width) == NATIVE_SIZE
        if is_native:
            (self.height, self.width), decisions["size"] = decide_size(list(images.map(self._own_size, indices)))
        if self.illumination == self.align == "none":
            self.decisions = {"illumination": _as_requested("none"), "align": _as_requested("none")} | decisions
        else:
            good = GoodPictures(list(images.map(self._learning_picture, indices)))
            self.flat_field, illumination = decide_illumination(good, self.illumination)
            scale = max(self.height, self.width) / PICTURE_SIDE if is_native else None
            self.alignment, align = decide_pose(good, self.align, (self.height, self.width), scale)
            self.decisions = {"illumination": illumination, "align": align} | decisions
        if painted is not None:
            self.ignore_mask = IgnoreMask.fit(painted, self, images, indices)
        return self

    def _decide_window(self, images: DecodedImages, indices: Sequence[int]) -> dict[str, Any]:
        """Decide on the window where there are 16-bit images; what was chosen and why, else nothing."""
        found = list(images.map(lambda image: histogram(image) if is_sixteen_bit(image) else None, indices))
        histograms = [counts for counts in found if counts is not None]
        if not histograms:
            return {}
        has_eight_bit = len(histograms) < len(found)
        self.window, decision = decide_window(histograms, self.window_option, has_eight_bit=has_eight_bit)
        return {"window": decision}

    def to_rgb(self, image: Image.Image) -> Image.Image:
        """A decoded image in RGB: 16-bit grey through the window, all others as they are.

        Raises:
            NotComparable: a 16-bit image, and there is no window.
            DetectorError: when it is in another mode; conversions are the caller's decision.
        """
        if is_sixteen_bit(image):
            if self.window is None:
                sentence = "The image has 16 bits per pixel; the model was trained on 8-bit images."
                raise NotComparable(SIXTEEN_BIT_PICTURE, sentence)
            return self.window.apply(image)
        if image.mode != "RGB":
            raise DetectorError(f"The detector expects an RGB image, not one in mode {image.mode}.")
        return image

    def comparable(self, images: DecodedImages) -> Iterator[bool]:
        """Whether each good image can be prepared; those that cannot are noted in `excluded`."""

        def reason(image: Image.Image) -> str:
            try:
                self.prepare(image)
            except NotComparable as error:
                return error.reason
            return ""

        self.excluded = []
        for index, reason_code in enumerate(images.map(reason)):
            if reason_code:
                self.excluded.append({"image": index, "reason": reason_code})
            yield not reason_code

    def prepare(self, image: Image.Image) -> PreparedImage:
        """Bring an RGB or 16-bit grey image to the model's input.

        Raises:
            NotComparable: when its background, part or pose cannot be found, or as `to_rgb`.
            DetectorError: as `to_rgb`.
        """
        image = self.to_rgb(image)
        box = self._box(image)
        frame = Frame(image.height, image.width, box)
        image = image.crop(box) if box != (0, 0, image.width, image.height) else image
        height, width = self.size
        residual = None
        if self.is_plain:
            pixels = self._covered(_resize(image, width, height))
            view = view_of(pixels)
        else:
            pixels = _pixels(image)
            picture = _shrink(pixels)
            view = view_of(picture)
            background = Background.of(picture)
            if self.flat_field is not None:
                self.flat_field.check(background)
            if self.alignment is None:
                values = _resize(image, width, height).astype(np.float32)
                pixels = self._corrected(values, background.surface(width, height))
            else:
                pose = self.alignment.locate(picture, background)
                residual = 1 - pose.correlation
                pixels, matrix = self._aligned(pixels, picture, background, pose, self.alignment)
                to_model = np.linalg.inv(translation(box[0], box[1]) @ matrix)
                frame = replace(frame, matrix=to_model[:2])
            pixels = self._covered(pixels)
        tensor = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
        ignored = self.ignore_mask.ignored if self.ignore_mask else None
        return PreparedImage(tensor, frame, view, alignment_residual=residual, ignored=ignored)

    def summarise(self, image: Image.Image) -> ImageSummary:
        """The picture as a whole, as `prepare` sees it, whether or not its part can be found."""
        image = self.to_rgb(image)
        box = self._box(image)
        cropped = image.crop(box)
        height, width = self.size
        picture = self._covered(_resize(cropped, width, height)) if self.is_plain else _shrink(_pixels(cropped))
        view = view_of(picture)
        return ImageSummary(image.size, colourfulness(image), describe_cells(view), grey_view(view))

    def _covered(self, pixels: np.ndarray) -> np.ndarray:
        return pixels if self.ignore_mask is None else self.ignore_mask.cover(pixels)

    def _aligned(
        self, pixels: np.ndarray, picture: np.ndarray, background: Background, pose: Pose, alignment: PoseAlignment
    ) -> tuple[np.ndarray, np.ndarray]:
        """The part in an image's `_pixels`, uint8 [h,w,3], and the transformation of its coordinates to the image's."""
        height, width = alignment.size
        small_h, small_w = picture.shape[:2]
        whole_h, whole_w = pixels.shape[:2]
        matrix = rescaling(whole_w / small_w, whole_h / small_h) @ pose.matrix
        # What is shrunk more than by half is averaged first: the warp looks at four neighbours only.
        shrink = 1 / max(1.0, alignment.scale * max(whole_w, whole_h) / max(small_w, small_h))
        to_source = matrix
        if shrink < 1:
            size = (max(1, round(whole_w * shrink)), max(1, round(whole_h * shrink)))
            pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
            to_source = rescaling(size[0] / whole_w, size[1] / whole_h) @ matrix
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        values = _to_rgb(cv2.warpAffine(pixels, to_source[:2], (width, height), flags=flags)).astype(np.float32)
        # Where each pixel lies in the picture, -1..1 over its edges.
        columns, rows = np.arange(width)[None, :], np.arange(height)[:, None]
        (a, b, c), (d, e, f) = pose.matrix[:2]
        x = (a * columns + b * rows + c + 0.5) / small_w * 2 - 1
        y = (d * columns + e * rows + f + 0.5) / small_h * 2 - 1
        visible = alignment.visible(pose, inside=(np.abs(x) <= 1) & (np.abs(y) <= 1))
        surface = background.at(np.clip(x, -1, 1), np.clip(y, -1, 1))
        return self._corrected(values, surface, visible[..., None]), matrix

    def _corrected(self, values: np.ndarray, surface: np.ndarray, visible: np.ndarray | float = 1.0) -> np.ndarray:
        """uint8 [h,w,3]: the lamp taken out, and the plain background in place of what is not looked at."""
        if self.flat_field is not None:
            values = self.flat_field.transform(values, surface)
            surface = self.flat_field.level.astype(np.float32)
        values = surface + visible * (values - surface)
        return np.clip(values + 0.5, 0, 255).astype(np.uint8)

    def _own_size(self, image: Image.Image) -> tuple[int, int]:
        """Height and width of the inspected area."""
        left, top, right, bottom = self._box(image)
        return bottom - top, right - left

    def _learning_picture(self, image: Image.Image) -> np.ndarray:
        image = self.to_rgb(image)
        box = self._box(image)
        return _shrink(_pixels(image.crop(box)))

    def _box(self, image: Image.Image) -> tuple[int, int, int, int]:
        left, top, right, bottom = self.region
        box = (
            round(left * image.width),
            round(top * image.height),
            round(right * image.width),
            round(bottom * image.height),
        )
        if box[2] - box[0] < 8 or box[3] - box[1] < 8:
            raise DetectorError(f"The region {self.region} of an image of {image.width}x{image.height} is too small.")
        return box

    def describe(self) -> dict[str, Any]:
        """JSON-safe description for the artifact's manifest; with `tensors` it is everything."""
        return {
            "height": self.height,
            "width": self.width,
            "illumination": self.illumination,
            "align": self.align,
            "region": list(self.region),
            "window_option": list(self.window_option),
            "window": self.window.describe() if self.window else None,
            "flat_field": self.flat_field.describe() if self.flat_field else None,
            "alignment": self.alignment.describe() if self.alignment else None,
            "ignore_mask": self.ignore_mask.describe() if self.ignore_mask else None,
            "decisions": self.decisions,
            "excluded": self.excluded,
        }

    def tensors(self) -> dict[str, torch.Tensor]:
        """The arrays that belong to the description."""
        arrays = self.alignment.tensors() if self.alignment else {}
        tensors = {TENSOR_PREFIX + name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
        return tensors | (self.ignore_mask.tensors() if self.ignore_mask else {})

    @classmethod
    def restore(cls, description: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Self:
        """The inverse of `describe` and `tensors`."""
        result = cls(
            int(description["height"]),
            int(description["width"]),
            illumination=description["illumination"],
            align=description["align"],
            region=tuple(description["region"]),
            window_option=tuple(description.get("window_option", DECIDE)),  # older artifacts have none
        )
        if description.get("window") is not None:
            result.window = GreyWindow.restore(description["window"])
        if description["flat_field"] is not None:
            result.flat_field = FlatField.restore(description["flat_field"])
        if description["alignment"] is not None:
            arrays = {
                name.removeprefix(TENSOR_PREFIX): tensor.numpy()
                for name, tensor in tensors.items()
                if name.startswith(TENSOR_PREFIX)
            }
            result.alignment = PoseAlignment.restore(description["alignment"], arrays)
        ignore_mask = description.get("ignore_mask")  # artifacts older than masks have no such entry
        if ignore_mask is not None:
            result.ignore_mask = IgnoreMask.restore(ignore_mask, tensors, result.size)
        result.decisions = dict(description["decisions"])
        result.excluded = list(description["excluded"])
        return result


def _as_requested(value: str) -> dict[str, Any]:
    return {"chosen": value, "because": "it was requested"}


def _resize(image: Image.Image, width: int, height: int) -> np.ndarray:
    """uint8 [height,width,3]. Pillow's bilinear filter widens with the reduction, which is the antialiasing."""
    return np.array(image.resize((width, height), Image.Resampling.BILINEAR), dtype=np.uint8)


def _pixels(image: Image.Image) -> np.ndarray:
    """uint8 [h,w,3] of an RGB image, or [h,w] where all three channels are the same: a third of the work."""
    pixels = np.asarray(image)
    red = np.ascontiguousarray(pixels[..., 0])
    grey = bool((red == pixels[..., 1]).all() and (red == pixels[..., 2]).all())
    return red if grey else pixels


def _to_rgb(pixels: np.ndarray) -> np.ndarray:
    """[h,w,3] of [h,w] or [h,w,3]."""
    return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB) if pixels.ndim == 2 else pixels


def _shrink(pixels: np.ndarray) -> np.ndarray:
    """float32 [h,w,3] in grey levels of `_pixels`, the longer side `PICTURE_SIDE`."""
    height, width = pixels.shape[:2]
    factor = PICTURE_SIDE / max(height, width)
    size = (max(8, round(width * factor)), max(8, round(height * factor)))
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return _to_rgb(cv2.resize(pixels, size, interpolation=interpolation)).astype(np.float32)
