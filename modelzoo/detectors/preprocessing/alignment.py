"""Pose alignment: turns, moves and crops a picture so that the part always lies in the same place.

Detectors that compare position by position fail on parts that lie at any angle, not because of defects but because
nothing is where it was. What is needed is learned from good parts alone: how the part differs from its background, how
large it is, what it looks like on average, and where around it there is anything to look at.

The way of one picture: background fit, difference from it, largest piece, centre and principal axis; the better of the
two directions along the axis by correlation with the mean good part; then the last pixel and the last degree by
maximising the enhanced correlation coefficient (Evangelidis & Psarakis 2008).

Coordinates are (x, y) of pixel centres, the first pixel's being 0. Transformations are float64 [3,3] and bring
coordinates of the aligned picture to the given picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import cv2
import numpy as np

from modelzoo.detectors.errors import DetectorError, NotComparable
from modelzoo.detectors.preprocessing.illumination import Background

# Sides of aligned pictures are multiples of this, which every backbone and the autoencoder can halve.
STEP = 32
# Free space around the part, and how far around it one looks, as shares of the picture's width. The reach only covers
# what the outline may be wrong by: dust and shadows beside a part are not its defects.
MARGIN = 0.05
REACH = 0.005
# The region reaches to where this share of the good parts is visible.
MIN_VISIBLE_SHARE = 0.05
# A part covers so much of the picture, and its length is so many times its width.
MIN_AREA, MAX_AREA = 0.005, 0.75
MIN_ELONGATION = 1.25
# The share of the good pictures in which a part must be found for alignment to be considered.
MIN_SEGMENTED_SHARE = 0.95
# How far the fine alignment may correct the coarse one: a larger correction has converged on something else.
MAX_SHIFT, MAX_ROTATION = 0.06, math.radians(6)
FLIP_ROUNDS, FINE_ROUNDS = 3, 3
_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4)


@dataclass(frozen=True)
class Silhouette:
    """A part as it lies before its background.

    Attributes:
        mask: uint8 [h,w], 1 on the part, holes filled.
        centre: float64 [2], its centre of mass (x, y).
        angle: of its principal axis, radians, either of two directions.
        elongation: standard deviation along the axis over that across, at least 1.
        area: share of the picture that it covers.
    """

    mask: np.ndarray
    centre: np.ndarray
    angle: float
    elongation: float
    area: float

    def flipped(self) -> Silhouette:
        """The same with the axis pointing the other way."""
        return replace(self, angle=self.angle + math.pi)

    def extent(self) -> tuple[float, float, float, float]:
        """Least and greatest position along and across the axis, relative to the centre, in pixels."""
        y, x = np.nonzero(self.mask)
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        along = (x - self.centre[0]) * cosine + (y - self.centre[1]) * sine
        across = (y - self.centre[1]) * cosine - (x - self.centre[0]) * sine
        return float(along.min()), float(along.max()), float(across.min()), float(across.max())


def difference(picture: np.ndarray, background: Background) -> np.ndarray:
    """How far each pixel lies from the background, uint8 [h,w] grey levels, the channel that shows most."""
    smooth = cv2.GaussianBlur(picture, (0, 0), 1.0)
    # Channel by channel: NumPy reduces a last axis of three slowly.
    red, green, blue = cv2.split(np.abs(smooth - background.surface(picture.shape[1], picture.shape[0])))
    distance = np.maximum(np.maximum(red, green), blue)
    return np.clip(distance, 0, 255).astype(np.uint8)


def segment(distance: np.ndarray, contrast: float) -> Silhouette:
    """The part: the largest piece that differs from the background by more than `contrast` grey levels.

    Raises:
        NotComparable: when there is no part, more than one, or a part that the picture's edge cuts off.
    """
    binary = (distance > contrast).astype(np.uint8)
    closed = cv2.morphologyEx(binary, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    contours, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    areas = sorted((cv2.contourArea(contour) for contour in contours), reverse=True)
    pixels = binary.size
    if not areas or areas[0] < MIN_AREA * pixels:
        raise NotComparable("no_part_found", "No part can be separated from the background.")
    if areas[0] > MAX_AREA * pixels:
        raise NotComparable("no_part_found", "The part fills the image; there is no background around it.")
    if len(areas) > 1 and areas[1] > 0.5 * areas[0]:
        raise NotComparable("several_parts", "There is more than one part in the image.")
    mask = np.zeros_like(binary)
    cv2.drawContours(mask, [max(contours, key=cv2.contourArea)], -1, 1, cv2.FILLED)
    rim = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    if rim.mean() > 0.02:
        raise NotComparable("part_touches_border", "The part reaches over the edge of the image.")
    moments = cv2.moments(mask, binaryImage=True)
    centre = np.array([moments["m10"], moments["m01"]]) / moments["m00"]
    spread = np.array([[moments["mu20"], moments["mu11"]], [moments["mu11"], moments["mu02"]]]) / moments["m00"]
    across, along = np.linalg.eigvalsh(spread)
    angle = 0.5 * math.atan2(2 * spread[0, 1], spread[0, 0] - spread[1, 1])
    return Silhouette(mask, centre, angle, math.sqrt(along / max(across, 1e-9)), float(mask.mean()))


@dataclass(frozen=True)
class SegmentedParts:
    """The parts of several good pictures.

    Attributes:
        contrast: grey levels by which they differ from their backgrounds.
        found: silhouettes by the index of their picture.
        reasons: why there is none in the others, with counts.
        share: of the pictures in which one was found.
    """

    contrast: float
    silhouettes: dict[int, Silhouette]
    reasons: dict[str, int]
    share: float

    @classmethod
    def find(cls, pictures: Sequence[np.ndarray], backgrounds: Sequence[Background]) -> Self:
        """Contrast from all pictures together, then each picture by itself."""
        distances = [difference(*pair) for pair in zip(pictures, backgrounds, strict=True)]
        noise = float(np.median([background.noise.max() for background in backgrounds]))
        otsu = [cv2.threshold(distance, 0, 255, cv2.THRESH_OTSU)[0] for distance in distances]
        contrast = max(float(np.median(otsu)), 4 * noise)
        silhouettes: dict[int, Silhouette] = {}
        reasons: dict[str, int] = {}
        for index, (distance, background) in enumerate(zip(distances, backgrounds, strict=True)):
            try:
                if not background.is_usable:
                    raise NotComparable("no_background", "There is no even background around the part.")
                silhouettes[index] = segment(distance, contrast)
            except NotComparable as error:
                reasons[error.reason] = reasons.get(error.reason, 0) + 1
        return cls(contrast, silhouettes, reasons, len(silhouettes) / max(1, len(pictures)))


@dataclass(frozen=True)
class Pose:
    """Where the part lies in a picture.

    Attributes:
        matrix: float64 [3,3], aligned coordinates to the picture's.
        silhouette: the part before its background.
        correlation: with the mean good part after alignment, -1..1.
        margin: how much better this direction along the axis fits than the other.
    """

    matrix: np.ndarray
    silhouette: Silhouette
    correlation: float
    margin: float


@dataclass(frozen=True)
class PoseAlignment:
    """What alignment has to know of good parts. Lengths are in pixels of the pictures given to `fit`.

    Attributes:
        contrast: grey levels by which a part differs from its background.
        size: height and width of the aligned picture.
        scale: pixels of the given picture per pixel of the aligned one.
        offset: float64 [2], from a part's centre of mass to the aligned picture's centre, along and across its axis.
        template: float32 [height/2, width/2], the mean good part less its background, grey levels.
        region: uint8 [height/2, width/2], 1 where good parts were seen.
        area: median share of the picture that a good part covers.
        correlation: the smallest of a good part with the template.
        margin: the smallest by which one direction of a good part fitted better than the other.
    """

    contrast: float
    size: tuple[int, int]
    scale: float
    offset: np.ndarray
    template: np.ndarray
    region: np.ndarray
    area: float
    correlation: float
    margin: float

    @classmethod
    def fit(
        cls,
        pictures: Sequence[np.ndarray],
        backgrounds: Sequence[Background],
        parts: SegmentedParts,
        image_size: tuple[int, int],
        scale: float | None = None,
    ) -> tuple[Self, dict[str, Any]]:
        """Learn from good pictures, float32 [h,w,3] in grey levels, and say what was seen.

        Args:
            pictures: of one shape or several; a part has the same size in pixels in all of them.
            backgrounds: of the same pictures.
            parts: in the same pictures.
            image_size: height and width that the aligned pictures shall have. A square only says how many pixels:
                they are laid out in the part's own aspect ratio.
            scale: pixels of the aligned pictures per pixel of the good ones: as many as a part needs, instead.

        Raises:
            DetectorError: when most pictures show no part that could be aligned.
        """
        evidence: dict[str, Any] = {
            "segmented": parts.share,
            "not_segmented": parts.reasons,
            "contrast": parts.contrast,
        }
        if parts.share < MIN_SEGMENTED_SHARE or len(parts.silhouettes) < 2:
            raise DetectorError(
                f"A part could be separated from the background in only {100 * parts.share:.0f} % of the good images."
            )
        silhouettes = list(parts.silhouettes.values())
        elongation = float(np.quantile([silhouette.elongation for silhouette in silhouettes], 0.05))
        evidence["elongation"] = elongation
        if elongation < MIN_ELONGATION:
            raise DetectorError(
                f"The part is too round to have an axis (length to width {elongation:.2f}, {MIN_ELONGATION} needed)."
            )
        greys = [foreground(pictures[index], backgrounds[index]) for index in parts.silhouettes]
        area = float(np.median([silhouette.area for silhouette in silhouettes]))
        # Which way an axis points is not known yet: the first layout has room for both.
        draft = cls._without_template(
            parts.contrast, area, *_layout(silhouettes, image_size, scale, either_direction=True)
        )
        oriented = draft._orient(greys, silhouettes)
        layout = _layout(oriented, image_size, scale)
        alignment = cls._without_template(parts.contrast, area, *layout)._fit_template(greys, oriented)
        evidence |= {
            "least_correlation": alignment.correlation,
            "least_margin": alignment.margin,
            "area": alignment.area,
        }
        return alignment, evidence

    @classmethod
    def _without_template(
        cls, contrast: float, area: float, size: tuple[int, int], scale: float, offset: np.ndarray
    ) -> Self:
        half = (size[0] // 2, size[1] // 2)
        template, region = np.zeros(half, np.float32), np.zeros(half, np.uint8)
        return cls(contrast, size, scale, offset, template, region, area, correlation=0.0, margin=0.0)

    def _orient(self, greys: Sequence[np.ndarray], silhouettes: Sequence[Silhouette]) -> list[Silhouette]:
        """All axes pointing the same way: as the first part's at the start, then as the mean of all."""
        both = [
            (
                self._view(grey, self._coarse_matrix(silhouette)),
                self._view(grey, self._coarse_matrix(silhouette.flipped())),
            )
            for grey, silhouette in zip(greys, silhouettes, strict=True)
        ]
        template = both[0][0]
        for _ in range(FLIP_ROUNDS):
            flipped = [picture_correlation(b, template) > picture_correlation(a, template) for a, b in both]
            template = _mean([pair[turn] for pair, turn in zip(both, flipped, strict=True)])
        return [s.flipped() if turn else s for s, turn in zip(silhouettes, flipped, strict=True)]

    def _fit_template(self, greys: Sequence[np.ndarray], silhouettes: Sequence[Silhouette]) -> Self:
        """Template, region and what is usual, from good parts whose axes point the same way."""
        matrices = [self._coarse_matrix(silhouette) for silhouette in silhouettes]
        views = [self._view(grey, matrix) for grey, matrix in zip(greys, matrices, strict=True)]
        for _ in range(FINE_ROUNDS):
            template = _mean(views)
            matrices = [self._refined_matrix(grey, m, template) for grey, m in zip(greys, matrices, strict=True)]
            views = [self._view(grey, matrix) for grey, matrix in zip(greys, matrices, strict=True)]
        template = _mean(views)
        masks = [
            self._view(silhouette.mask.astype(np.float32), matrix, blur=0)
            for silhouette, matrix in zip(silhouettes, matrices, strict=True)
        ]
        alignment = replace(
            self, template=template, region=(np.mean(masks, axis=0) > MIN_VISIBLE_SHARE).astype(np.uint8)
        )
        poses = [alignment._pose(grey, silhouette) for grey, silhouette in zip(greys, silhouettes, strict=True)]
        return replace(
            alignment,
            correlation=float(np.quantile([pose.correlation for pose in poses], 0.01)),
            margin=float(np.quantile([pose.margin for pose in poses], 0.01)),
        )

    def locate(self, picture: np.ndarray, background: Background) -> Pose:
        """Find the part in float32 [h,w,3], grey levels.

        Raises:
            NotComparable: when there is no single whole part of about the right size and look, or its direction
                cannot be told although it can with good parts.
        """
        silhouette = segment(difference(picture, background), self.contrast)
        if not 0.5 < silhouette.area / self.area < 2:
            raise NotComparable(
                "unusual_shape",
                f"The part is {silhouette.area / self.area:.1f} times as large as a good part.",
            )
        pose = self._pose(foreground(picture, background), silhouette)
        if pose.correlation < 0.6 * self.correlation:
            raise NotComparable(
                "unusual_shape",
                "The part does not look like a good part: its correlation with the mean good part is "
                f"{pose.correlation:.2f}, good parts have at least {self.correlation:.2f}.",
            )
        if pose.margin < 0.2 * self.margin:
            raise NotComparable("pose_ambiguous", "The direction of the part cannot be detected.")
        return pose

    def _pose(self, grey: np.ndarray, silhouette: Silhouette) -> Pose:
        """The better of the two directions, made exact."""
        directions = [silhouette, silhouette.flipped()]
        fits = [
            picture_correlation(self._view(grey, self._coarse_matrix(direction)), self.template)
            for direction in directions
        ]
        best = int(np.argmax(fits))
        matrix = self._refined_matrix(grey, self._coarse_matrix(directions[best]), self.template)
        correlation = picture_correlation(self._view(grey, matrix), self.template)
        return Pose(matrix, directions[best], correlation, fits[best] - fits[1 - best])

    def aligned_view(self, picture: np.ndarray, background: Background) -> np.ndarray:
        """The aligned part less its background at half the resolution, float32 [height/2,width/2], grey levels.

        Raises:
            NotComparable: as `locate`.
        """
        return self._view(foreground(picture, background), self.locate(picture, background).matrix)

    def visible(self, pose: Pose, inside: np.ndarray) -> np.ndarray:
        """How much of each aligned pixel is looked at, float32 [height,width] in 0..1, with a soft edge.

        Looked at is where good parts were seen, this part's own outline, and a little around both.

        Args:
            pose: of the picture.
            inside: bool [height,width], false beyond the picture's edge.
        """
        own_mask = self._view(pose.silhouette.mask.astype(np.float32), pose.matrix, blur=0) > 0.5
        reach = max(1, round(REACH * self.size[1] / 2))
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        region = cv2.dilate((own_mask | (self.region > 0)).astype(np.uint8), disc).astype(np.float32)
        soft = cv2.GaussianBlur(region, (0, 0), reach / 2)
        return np.asarray(cv2.resize(soft, self.size[::-1], interpolation=cv2.INTER_LINEAR) * inside, dtype=np.float32)

    def describe(self) -> dict[str, Any]:
        """JSON-safe; with `tensors` it is everything."""
        numbers = {name: getattr(self, name) for name in ("contrast", "scale", "area", "correlation", "margin")}
        return {**numbers, "size": list(self.size), "offset": self.offset.tolist()}

    def tensors(self) -> dict[str, np.ndarray]:
        """The arrays that belong to it."""
        return {"template": self.template, "region": self.region}

    @classmethod
    def restore(cls, description: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> Self:
        """The inverse of `describe` and `tensors`.

        Raises:
            DetectorError: when the arrays do not have the shape that the description says.
        """
        height, width = (int(side) for side in description["size"])
        for name in ("template", "region"):
            if tensors[name].shape != (height // 2, width // 2):
                raise DetectorError(f"The alignment's {name} does not have the size of its pictures.")
        return cls(
            **{name: float(description[name]) for name in ("contrast", "scale", "area", "correlation", "margin")},
            size=(height, width),
            offset=np.array(description["offset"], dtype=np.float64),
            template=tensors["template"].astype(np.float32),
            region=tensors["region"].astype(np.uint8),
        )

    def _coarse_matrix(self, silhouette: Silhouette) -> np.ndarray:
        """Centre of mass and principal axis."""
        cosine, sine = math.cos(silhouette.angle), math.sin(silhouette.angle)
        turn = np.array([[cosine, -sine], [sine, cosine]])
        height, width = self.size
        matrix = np.eye(3)
        matrix[:2, :2] = self.scale * turn
        matrix[:2, 2] = silhouette.centre + turn @ self.offset - matrix[:2, :2] @ [(width - 1) / 2, (height - 1) / 2]
        return matrix

    def _refined_matrix(self, grey: np.ndarray, matrix: np.ndarray, template: np.ndarray) -> np.ndarray:
        """A rigid correction by the enhanced correlation coefficient; none where it does not converge nearby."""
        start = np.eye(2, 3, dtype=np.float32)
        try:
            view, everywhere = self._view(grey, matrix), np.ones_like(self.region)
            _, warp = cv2.findTransformECC(template, view, start, cv2.MOTION_EUCLIDEAN, _STOP, everywhere, 3)
        except cv2.error:  # it says so by an exception when it does not converge
            return matrix
        half = np.vstack([np.asarray(warp, dtype=np.float64), [0, 0, 1]])
        correction = _upscaling_matrix() @ half @ np.linalg.inv(_upscaling_matrix())
        height, width = self.size
        centre = np.array([(width - 1) / 2, (height - 1) / 2, 1])
        shift = np.hypot(*(correction @ centre - centre)[:2])
        turn = abs(math.atan2(correction[1, 0], correction[0, 0]))
        return matrix @ correction if shift < MAX_SHIFT * width and turn < MAX_ROTATION else matrix

    def _view(self, picture: np.ndarray, matrix: np.ndarray, *, blur: float = 1.0) -> np.ndarray:
        """float32 [h,w] as it looks aligned, at half the resolution, slightly blurred; 0 beyond the edge."""
        height, width = self.size
        half = (matrix @ _upscaling_matrix())[:2]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        view = cv2.warpAffine(picture, half, (width // 2, height // 2), flags=flags, borderMode=cv2.BORDER_CONSTANT)
        return np.asarray(cv2.GaussianBlur(view, (0, 0), blur) if blur else view, dtype=np.float32)


def _upscaling_matrix() -> np.ndarray:
    """Coordinates of a picture of half the size to those of the whole: pixel centres stay where they are."""
    return np.array([[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]])


def _layout(
    silhouettes: Sequence[Silhouette],
    image_size: tuple[int, int],
    scale: float | None = None,
    *,
    either_direction: bool = False,
) -> tuple[tuple[int, int], float, np.ndarray]:
    """Size of the aligned picture, scale and offset, so that all parts but the largest 1 % fit with a margin."""
    extents = np.array([silhouette.extent() for silhouette in silhouettes])
    start, end = np.quantile(extents[:, 0], 0.01), np.quantile(extents[:, 1], 0.99)
    left, right = np.quantile(extents[:, 2], 0.01), np.quantile(extents[:, 3], 0.99)
    if either_direction:
        start, end = min(start, -end), max(end, -start)
        left, right = min(left, -right), max(right, -left)
    free = 2 * MARGIN * (end - start)
    length, breadth = float(end - start + free), float(right - left + free)
    height, width = image_size
    if scale is not None:
        width, height = (STEP * math.ceil(scale * side / STEP) for side in (length, breadth))
    elif height == width:
        pixels = height * width
        width = max(STEP, STEP * round(math.sqrt(pixels * length / breadth) / STEP))
        height = max(STEP, STEP * round(pixels / width / STEP))
    offset = np.array([start + end, left + right]) / 2
    return (height, width), max(length / width, breadth / height), offset


def foreground(picture: np.ndarray, background: Background) -> np.ndarray:
    """float32 [h,w]: the picture less its background, mean of the channels, grey levels."""
    surface = background.surface(picture.shape[1], picture.shape[0])
    red, green, blue = cv2.split(picture - surface)
    return np.asarray((red + green + blue) / 3, dtype=np.float32)


def _mean(pictures: Sequence[np.ndarray]) -> np.ndarray:
    return np.asarray(np.mean(pictures, axis=0), dtype=np.float32)


def picture_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's coefficient of two pictures; 0 where one is flat."""
    x, y = a - a.mean(), b - b.mean()
    norm = math.sqrt(float((x * x).sum()) * float((y * y).sum()))
    return float((x * y).sum()) / norm if norm > 1e-9 else 0.0
