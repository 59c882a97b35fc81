"""One synthetic defect on one image: five kinds, three sizes, two contrasts, everything else from a seed.

Sources: patches and scars that are cut from the image itself, CutPaste (Li et al. 2021); islands of Perlin noise filled
with another texture, DRAEM (Zavrtanik, Kristan and Skocaj 2021), here with texture of the image itself, since no other
pictures are at hand; stains, Collin and De Vleeschouwer 2021. Missing pieces are of our own making: parts break.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from modelzoo.detectors.errors import DetectorError
from modelzoo.detectors.synthetic_defects import shapes
from modelzoo.detectors.synthetic_defects.parts import Part

# Diameter as a share of the part's extent.
SIZES = {"small": 0.04, "medium": 0.08, "large": 0.16}
# Grey levels by which a defect differs, as a share of the part's own spread, or of `_MIN_SPREAD` where that is less.
CONTRASTS = {"weak": 0.25, "strong": 0.6}
_MIN_SPREAD = 32.0
# Under a defect some pixels happen to look as before. One that changes less than this on average is put elsewhere.
_MIN_CHANGE = 0.3
_TRIES = 8
_SCRATCH_LENGTH, _SCRATCH_WIDTH = 3.0, 0.15


@dataclass(frozen=True)
class DefectSpec:
    """What is put on an image; the same specification on the same image gives the same pixels."""

    kind: str
    size: str
    contrast: str
    seed: int


@dataclass(frozen=True)
class SyntheticDefect:
    """A patch of changed pixels, small enough to be kept for many images.

    Attributes:
        top, left: where it lies.
        pixels: uint8 [h,w,3].
        mask: bool [h,w], the pixels that are not what they were.
    """

    spec: DefectSpec
    top: int
    left: int
    pixels: np.ndarray
    mask: np.ndarray

    def on(self, pixels: np.ndarray) -> np.ndarray:
        """A copy of the image with the defect, uint8 [H,W,3]."""
        result = pixels.copy()
        height, width = self.mask.shape
        result[self.top : self.top + height, self.left : self.left + width] = self.pixels
        return result

    def whole_mask(self, height: int, width: int) -> np.ndarray:
        """bool [H,W] in the image."""
        result = np.zeros((height, width), dtype=bool)
        result[self.top : self.top + self.mask.shape[0], self.left : self.left + self.mask.shape[1]] = self.mask
        return result


@dataclass(frozen=True)
class _Place:
    """A window of the image around a defect that is being made.

    Attributes:
        original: float32 [h,w,3] of the image.
        alpha: float32 [h,w], how much of each pixel the defect takes, 0 off the part.
        shift: grey levels, up or down, by which it is to differ.
    """

    top: int
    left: int
    original: np.ndarray
    alpha: np.ndarray
    shift: float


def make_defect(pixels: np.ndarray, part: Part, spec: DefectSpec) -> SyntheticDefect:
    """One defect on uint8 [h,w,3], on the part. Of several tries the first that changes the picture enough.

    Raises:
        DetectorError: for a kind, size or contrast that there is not.
    """
    if spec.kind not in KINDS or spec.size not in SIZES or spec.contrast not in CONTRASTS:
        raise DetectorError(f"There is no synthetic defect {spec.kind}, {spec.size}, {spec.contrast}.")
    generator = np.random.default_rng([spec.seed, list(KINDS).index(spec.kind)])
    amount = CONTRASTS[spec.contrast] * max(part.spread, _MIN_SPREAD)
    diameter = max(3.0, SIZES[spec.size] * part.extent)
    best, best_change = None, -1.0
    for _ in range(_TRIES):
        defect = _try(pixels, part, spec, diameter, amount, generator)
        before = pixels[defect.top :, defect.left :][: defect.mask.shape[0], : defect.mask.shape[1]]
        difference = np.abs(defect.pixels.astype(np.float32) - before).mean(axis=2)
        change = float(difference[defect.mask].mean()) if defect.mask.any() else 0.0
        if change > best_change:
            best, best_change = defect, change
        if change >= _MIN_CHANGE * amount:
            break
    assert best is not None  # there is at least one try
    return best


def _try(
    pixels: np.ndarray, part: Part, spec: DefectSpec, diameter: float, amount: float, generator: np.random.Generator
) -> SyntheticDefect:
    outline, fill = KINDS[spec.kind]
    shape = outline(diameter, generator)
    at_edge = spec.kind == "missing" and part.background is not None
    row, column = _centre(part.mask, diameter, at_edge, generator)
    top, left = row - shape.shape[0] // 2, column - shape.shape[1] // 2
    window, in_shape = _overlap(pixels.shape[:2], top, left, shape.shape)
    original = pixels[window].astype(np.float32)
    alpha = shape[in_shape] * part.mask[window]
    level = float(original[alpha > 0].mean()) if alpha.any() else 128.0
    up, down = level + amount <= 255, level - amount >= 0
    rises = bool(generator.random() < 0.5) if up == down else up
    place = _Place(window[0].start, window[1].start, original, alpha, amount if rises else -amount)
    filling = fill(pixels, part, place, generator)
    opacity = alpha[..., None]
    if at_edge and spec.contrast == "weak":
        opacity = opacity / 2  # what broke off was not as thick as the part
    changed = np.clip(original + opacity * (filling - original) + 0.5, 0, 255).astype(np.uint8)
    return SyntheticDefect(spec, place.top, place.left, changed, (changed != pixels[window]).any(axis=2))


def _centre(mask: np.ndarray, diameter: float, at_edge: bool, generator: np.random.Generator) -> tuple[int, int]:
    """A pixel of the mask: far enough inside that most of the defect is too, or on its outline."""
    bordered = np.pad(mask.astype(np.uint8), 1)
    depth = cv2.distanceTransform(bordered, cv2.DIST_L2, 3)[1:-1, 1:-1]
    if at_edge:
        candidates = np.flatnonzero(mask & (depth <= 1.5))
    else:
        candidates = np.flatnonzero(depth >= min(diameter / 2, 0.6 * float(depth.max())))
    row, column = np.unravel_index(int(generator.choice(candidates)), mask.shape)
    return int(row), int(column)


def _overlap(
    size: tuple[int, ...], top: int, left: int, shape: tuple[int, ...]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The window of an image that a shape at (top, left) covers, and what of the shape lies in it."""
    rows = slice(max(0, top), min(size[0], top + shape[0]))
    columns = slice(max(0, left), min(size[1], left + shape[1]))
    inner = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
    return (rows, columns), inner


# ---------------------------------------------------------------- what a defect is filled with: float32 [h,w,3]
def _other_place(pixels: np.ndarray, part: Part, place: _Place, generator: np.random.Generator) -> np.ndarray:
    """Texture from elsewhere on the part, turned over or upside down, and a little brighter or darker."""
    height, width = place.alpha.shape
    row, column = _centre(part.mask, max(height, width) / 2, False, generator)
    top = min(max(0, row - height // 2), pixels.shape[0] - height)
    left = min(max(0, column - width // 2), pixels.shape[1] - width)
    patch = pixels[top : top + height, left : left + width].astype(np.float32)
    return np.asarray(cv2.flip(patch, int(generator.integers(-1, 2)))) + place.shift


def _shade(pixels: np.ndarray, part: Part, place: _Place, generator: np.random.Generator) -> np.ndarray:
    """The texture that is there, brighter or darker, as under dirt or where a surface is scratched."""
    return place.original + place.shift


def _tint(pixels: np.ndarray, part: Part, place: _Place, generator: np.random.Generator) -> np.ndarray:
    """As a stain: the texture shows through, brighter or darker, on a coloured picture with a tint of its own."""
    is_grey = bool((pixels[..., :1] == pixels).all())
    tint = np.ones(3) if is_grey else generator.uniform(0.5, 1.5, 3)
    return np.asarray(place.original + place.shift * tint, dtype=np.float32)


def _nothing(pixels: np.ndarray, part: Part, place: _Place, generator: np.random.Generator) -> np.ndarray:
    """The background where a piece is missing; where there is none, a smooth hollow in place of the texture."""
    height, width = place.alpha.shape
    if part.background is None:
        smooth = cv2.GaussianBlur(place.original, (0, 0), max(1.0, max(height, width) / 4))
        return np.asarray(smooth + place.shift, dtype=np.float32)
    rows, columns = np.arange(height) + place.top + 0.5, np.arange(width) + place.left + 0.5
    x, y = 2 * columns / pixels.shape[1] - 1, 2 * rows / pixels.shape[0] - 1
    surface = part.background.at(*np.broadcast_arrays(x[None, :], y[:, None]))
    noise = generator.normal(0, 1, (height, width, 1)) * part.background.noise
    return np.asarray(surface + noise, dtype=np.float32)


# ---------------------------------------------------------------- the kinds
def _scratch(diameter: float, generator: np.random.Generator) -> np.ndarray:
    return shapes.scratch(_SCRATCH_LENGTH * diameter, max(1.0, _SCRATCH_WIDTH * diameter), generator)


def _drop(diameter: float, generator: np.random.Generator) -> np.ndarray:
    """A blob that fades out."""
    shape = np.pad(shapes.blob(diameter, generator), max(1, round(diameter / 4)))
    return np.asarray(cv2.GaussianBlur(shape, (0, 0), max(0.7, diameter / 8)), dtype=np.float32)


Outline = Callable[[float, np.random.Generator], np.ndarray]
Fill = Callable[[np.ndarray, Part, _Place, np.random.Generator], np.ndarray]
# In each the outline, from a diameter, and what fills it.
KINDS: dict[str, tuple[Outline, Fill]] = {
    "cut_paste": (shapes.rectangle, _other_place),
    "perlin": (shapes.noise_islands, _other_place),
    "scar": (_scratch, _shade),
    "missing": (shapes.blob, _nothing),
    "stain": (_drop, _tint),
}


def one_of_each_kind(image: int, seed: int) -> list[DefectSpec]:
    """What the image of that number gets: a defect of each kind, sizes and contrasts in turn from image to image."""
    cells = [(size, contrast) for contrast in CONTRASTS for size in SIZES]
    chosen = [(kind, *cells[(image + number) % len(cells)]) for number, kind in enumerate(KINDS)]
    return [DefectSpec(kind, size, contrast, seed=seed + 100_003 * image) for kind, size, contrast in chosen]
