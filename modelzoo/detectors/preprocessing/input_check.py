"""Is this a picture that the model can judge at all: of the size, shape, colour and kind that it learnt from?

A score only says how a part differs from good parts. A screw before a model of solar cells gets one too, and so does a
picture that was stretched: both would count in the statistics as what they are not. Four checks come before the score:

* size: the picture has not many times more or fewer pixels than the training images;
* aspect: its shape, width to height, is theirs;
* colour: no grey picture where all training images are coloured, no coloured one where all are grey;
* likeness: the picture as a whole looks like the training images.

Likeness: a view of 128 x 128 pixels is divided into 4 x 4 cells, each described by its mean colour and contrast and by
the strength of its edges in four directions at four scales. A cell's distance is the mean of those to the same cell of
the three nearest training images, each number divided by its spread there. The distance of a picture is the lower
quartile over its cells: a defect may touch eleven of the sixteen, but a picture of another kind differs everywhere. No
network is needed, so every detector has it, at one or two milliseconds.

The limit is learnt from good images alone, from distances to the images of other folds: see `LikenessLimit`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, Self

import cv2
import numpy as np
import torch
from PIL import Image
from scipy import stats

from modelzoo.detectors.errors import NotComparable
from modelzoo.detectors.preprocessing.alignment import picture_correlation
from modelzoo.detectors.preprocessing.input_rules import (
    ASPECT,
    COLOUR,
    GREY,
    GREY_PICTURE,
    LIKENESS,
    OFF,
    OTHER_ASPECT,
    OTHER_SIZE,
    REFUSE,
    SIZE,
    UNLIKE_TRAINING,
    InputRules,
    colourfulness,
    odd_colour,
)

VIEW_SIDE = 128
# Training images that a picture is compared with, evenly spaced over all of them.
EXEMPLARS = 512
# With fewer good images nothing can be said about how much they differ from each other.
MIN_IMAGES = 5
_GRID, _NEAREST, _FOLDS, _QUARTILE = 4, 3, 5, 0.25
_SCALES, _DIRECTIONS = (128, 64, 32, 16), 4
# Added to the variance of every number, so that what hardly varies is not measured in vanishing units.
_VARIANCE_FLOOR = 0.03
# The smallest limit, and the smallest distance that counts: images that are all the same would allow none.
_MIN_LIMIT, _MIN_DISTANCE = 0.25, 0.02
# Beyond the largest distance of a held-out good image, so that a defective part of the right kind stays within.
_MARGIN = 1.25
FALSE_ALARM_RATE = 0.001
INPUT_CHECK_PREFIX = "input_check."


@dataclass(frozen=True)
class Finding:
    """What is odd about a picture.

    Attributes:
        check: one of `input_rules.CHECKS`.
        code: one of `input_rules.REASONS`.
        explanation: a sentence.
        refused: whether the picture is not judged for it.
    """

    check: str
    code: str
    explanation: str
    refused: bool

    def as_dict(self) -> dict[str, Any]:
        """JSON-safe."""
        return asdict(self)


@dataclass(frozen=True)
class LikenessLimit:
    """From which distance on a picture is unlike the training images, and how often a good one would be called that.

    The limit is the larger of two: 1.25 times the largest distance of a held-out good image, and the one that a new
    good image exceeds with probability 0.001 if the logarithms of the distances are normal (the prediction bound of
    Student's t, which is wide for few images).

    Attributes:
        value: the limit; None where there are too few good images, so that nothing is checked.
        n: good images whose distance was measured, each against the images of other folds.
        largest: the largest of these distances.
        estimated_rate: the probability of a false alarm at `value` by that bound: at most 0.001.
        guaranteed_rate: 1 / (n + 1), what holds whatever the distribution, if new images are like those.
    """

    value: float | None = None
    n: int = 0
    largest: float = 0.0
    estimated_rate: float | None = None
    guaranteed_rate: float | None = None

    @classmethod
    def learn(cls, distances: np.ndarray) -> Self:
        """From distances of good images, float64 [n], to images that exclude their own fold."""
        n = len(distances)
        if n < MIN_IMAGES:
            return cls(n=n)
        logs = np.log(np.maximum(distances, _MIN_DISTANCE))
        largest, spread = float(distances.max()), max(float(logs.std(ddof=1)), 1e-3) * math.sqrt(1 + 1 / n)
        bound = math.exp(logs.mean() + stats.t.ppf(1 - FALSE_ALARM_RATE, n - 1) * spread)
        value = max(_MIN_LIMIT, _MARGIN * largest, bound)
        estimated = float(stats.t.sf((math.log(value) - logs.mean()) / spread, n - 1))
        return cls(value, n, largest, estimated, 1 / (n + 1))


@dataclass
class InputProfile:
    """What the good training images look like as pictures.

    Attributes:
        sizes: int64 [n,2], width and height of each.
        colourfulness: float32 [n].
        cells: float32 [n,16,k], description of each.
        mean_view: float32 [128,128], the mean of their grey views; None in artifacts older than it.
    """

    sizes: np.ndarray
    colourfulness: np.ndarray
    cells: np.ndarray
    mean_view: np.ndarray | None = None
    limit: LikenessLimit = field(init=False)
    _scale: np.ndarray = field(init=False, repr=False)
    _scaled: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._scale = _spread(self.cells)
        self._scaled = self.cells / self._scale
        self.limit = LikenessLimit.learn(_held_out_distances(self.cells))

    @classmethod
    def learn(cls, summaries: Iterable[ImageSummary]) -> Self:
        """From summaries of good images, at least one."""
        summaries = list(summaries)
        return cls(
            np.array([summarise.size for summarise in summaries], dtype=np.int64),
            np.array([summarise.colourfulness for summarise in summaries], dtype=np.float32),
            np.stack([summarise.cells for summarise in summaries]),
            np.asarray(np.mean([summarise.grey_view for summarise in summaries], axis=0), dtype=np.float32),
        )

    def merged_with(self, other: InputProfile) -> InputProfile:
        """Of these and other good images, thinned out evenly to at most `EXEMPLARS`."""
        joined = [
            np.concatenate([getattr(self, name), getattr(other, name)]) for name in ("sizes", "colourfulness", "cells")
        ]
        indices = exemplars(len(joined[0]))
        mean_view = None
        if self.mean_view is not None and other.mean_view is not None:
            n, more = len(self.cells), len(other.cells)
            mean_view = (n * self.mean_view + more * other.mean_view) / np.float32(n + more)
        sizes, colours, cells = (array[indices] for array in joined)
        return InputProfile(sizes, colours, cells, mean_view)

    def check_frame(self, image: Image.Image, rules: InputRules) -> list[Finding]:
        """What is odd about an RGB image's size and shape."""
        return [finding for finding in (self._size(image, rules), self._aspect(image, rules)) if finding]

    def check_content(self, image: Image.Image, distance: float, rules: InputRules) -> list[Finding]:
        """What is odd about an RGB image's colour, and about the picture as a whole, which has this `distance`."""
        findings = (self._colour(image, rules), self._likeness(distance, rules))
        return [finding for finding in findings if finding]

    def distance(self, view: np.ndarray) -> float:
        """Of a view, uint8 [128,128,3], from the training images: 0 for one of them."""
        here = describe_cells(view) / self._scale
        apart = np.sqrt(((self._scaled - here) ** 2).mean(axis=2))
        nearest = min(_NEAREST, len(apart))
        return float(np.quantile(np.partition(apart, nearest - 1, axis=0)[:nearest].mean(axis=0), _QUARTILE))

    def residual(self, view: np.ndarray) -> float | None:
        """1 - correlation of a view, uint8 [128,128,3], with the mean training image, in grey; None without that."""
        return (
            None
            if self.mean_view is None
            else 1 - picture_correlation(grey_view(view).astype(np.float32), self.mean_view)
        )

    @property
    def held_out_distances(self) -> np.ndarray:
        """float64 [n], the distance of each training image from those of other folds."""
        return _held_out_distances(self.cells)

    def _size(self, image: Image.Image, rules: InputRules) -> Finding | None:
        if rules.size == OFF:
            return None
        sides = np.log(self.sizes.prod(axis=1)) / 2
        side = math.log(image.width * image.height) / 2
        # Images of several sizes may come in others, too.
        slack = max(math.log(rules.size_factor), (sides.max() - sides.min()) / 2)
        if sides.min() - slack <= side <= sides.max() + slack:
            return None
        size = f"{image.width} x {image.height}"
        sentence = f"The image has {size} pixels; the training images have {self._sizes_text()}."
        return Finding(SIZE, OTHER_SIZE, sentence, rules.size == REFUSE)

    def _aspect(self, image: Image.Image, rules: InputRules) -> Finding | None:
        if rules.aspect == OFF:
            return None
        ratios = np.log(self.sizes[:, 0] / self.sizes[:, 1])
        ratio = math.log(image.width / image.height)
        # A side that was rounded to a whole pixel is no other shape; images of several shapes may come in others, too.
        rounding = 1 / min(image.size) + 1 / int(self.sizes.min())
        slack = max(math.log1p(rules.aspect_percent / 100), (ratios.max() - ratios.min()) / 2) + rounding
        if ratios.min() - slack <= ratio <= ratios.max() + slack:
            return None
        sentence = (
            f"The image has another shape: {image.width} x {image.height} pixels; the training images have "
            f"{self._sizes_text()}. The part would be distorted."
        )
        return Finding(ASPECT, OTHER_ASPECT, sentence, rules.aspect == REFUSE)

    def _colour(self, image: Image.Image, rules: InputRules) -> Finding | None:
        if rules.colour == OFF:
            return None
        lowest, highest = float(self.colourfulness.min()), float(self.colourfulness.max())
        code = odd_colour(colourfulness(image), lowest=lowest, highest=highest)
        kind, theirs = ("grey", "coloured") if code == GREY_PICTURE else ("coloured", "grey")
        sentence = f"The image is {kind}; the training images are {theirs}."
        return Finding(COLOUR, code, sentence, rules.colour == REFUSE) if code else None

    def _likeness(self, distance: float, rules: InputRules) -> Finding | None:
        if rules.likeness == OFF or self.limit.value is None:
            return None
        limit = self.limit.value * rules.likeness_factor
        if distance <= limit:
            return None
        sentence = (
            f"The whole image does not look like the training images (distance {distance:.2f}, allowed {limit:.2f})."
        )
        return Finding(LIKENESS, UNLIKE_TRAINING, sentence, rules.likeness == REFUSE)

    def _sizes_text(self) -> str:
        (width, height), (max_width, max_height) = self.sizes.min(axis=0), self.sizes.max(axis=0)
        if (width, height) == (max_width, max_height):
            return f"{width} x {height}"
        return f"{width} to {max_width} x {height} to {max_height}"

    def describe(self) -> dict[str, Any]:
        """JSON-safe, for people: what was learnt and how often a good image would be refused."""
        return {
            "images": len(self.sizes),
            "width": [int(self.sizes[:, 0].min()), int(self.sizes[:, 0].max())],
            "height": [int(self.sizes[:, 1].min()), int(self.sizes[:, 1].max())],
            "colour": self._colour_text(),
            "likeness": asdict(self.limit),
        }

    def _colour_text(self) -> str:
        if self.colourfulness.min() >= GREY:
            return "coloured"
        return "grey" if self.colourfulness.max() < GREY else "both"

    def tensors(self) -> dict[str, torch.Tensor]:
        """All that the checks need."""
        names = ("sizes", "colourfulness", "cells", *(() if self.mean_view is None else ("mean_view",)))
        return {
            INPUT_CHECK_PREFIX + name: torch.from_numpy(np.ascontiguousarray(getattr(self, name))) for name in names
        }

    @classmethod
    def restore(cls, tensors: Mapping[str, torch.Tensor]) -> Self:
        """The inverse of `tensors`. Raises KeyError or ValueError for anything else."""
        mean_view = tensors.get(INPUT_CHECK_PREFIX + "mean_view")
        sizes, colours, cells = (
            tensors[INPUT_CHECK_PREFIX + name].numpy() for name in ("sizes", "colourfulness", "cells")
        )
        return cls(sizes, colours, cells, None if mean_view is None else mean_view.numpy())


@dataclass(frozen=True)
class ImageSummary:
    """One image as the profile sees it: width and height in pixels, colourfulness, cells float32 [16,k], grey view."""

    size: tuple[int, int]
    colourfulness: float
    cells: np.ndarray
    grey_view: np.ndarray


def exemplars(n: int) -> list[int]:
    """Which of n images a profile keeps: all, or `EXEMPLARS` of them, evenly spaced."""
    picked: list[int] = np.unique(np.linspace(0, n - 1, min(EXEMPLARS, n)).round().astype(int)).tolist()
    return picked


def view_of(pixels: np.ndarray) -> np.ndarray:
    """uint8 [128,128,3] of uint8 or float [h,w,3] in grey levels."""
    view = cv2.resize(pixels, (VIEW_SIDE, VIEW_SIDE), interpolation=cv2.INTER_AREA)
    return np.clip(view, 0, 255).astype(np.uint8)


def grey_view(view: np.ndarray) -> np.ndarray:
    """uint8 [128,128] of a view, uint8 [128,128,3]."""
    return np.asarray(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY))


def describe_cells(view: np.ndarray) -> np.ndarray:
    """float32 [16,k] of a view, uint8 [128,128,3]."""
    lab = cv2.cvtColor(view.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    light, red, yellow = cv2.split(lab)
    level = _pooled(light)
    contrast = np.sqrt(np.maximum(_pooled(light * light) - level * level, 0))
    numbers = [level / 10, _pooled(red) / 3, _pooled(yellow) / 3, np.log(contrast + 0.3)]
    numbers.append(np.log(_pooled(cv2.magnitude(red, yellow)) + 0.5))
    for side in _SCALES:
        scaled = light if side == VIEW_SIDE else cv2.resize(light, (side, side), interpolation=cv2.INTER_AREA)
        across, down = cv2.Sobel(scaled, cv2.CV_32F, 1, 0), cv2.Sobel(scaled, cv2.CV_32F, 0, 1)
        strength, angle = cv2.cartToPolar(across, down)
        turns = angle * (_DIRECTIONS / math.pi) % _DIRECTIONS
        for direction in range(_DIRECTIONS):
            apart = np.abs(turns - direction)
            share = np.clip(1 - np.minimum(apart, _DIRECTIONS - apart), 0, 1)
            numbers.append(np.log(_pooled(strength * share) + 0.1))
        numbers.append(np.log(_pooled(np.abs(cv2.Laplacian(scaled, cv2.CV_32F))) + 0.1))
    return np.stack(numbers, axis=-1).reshape(_GRID * _GRID, -1).astype(np.float32)


def raise_if_refused(findings: Iterable[Finding]) -> None:
    """Raises NotComparable for the first finding for which the picture is refused."""
    for finding in findings:
        if finding.refused:
            raise NotComparable(finding.code, finding.explanation)


def _pooled(values: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.resize(values, (_GRID, _GRID), interpolation=cv2.INTER_AREA))


def _spread(cells: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(cells.var(axis=0) + _VARIANCE_FLOOR))


def _distances(cells: np.ndarray, others: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """float64 [m] of pictures [m,16,k] from others [n,16,k], numbers measured in `scale` [16,k]."""
    nearest = min(_NEAREST, len(others))
    by_cell = np.empty(cells.shape[:2])
    for cell in range(cells.shape[1]):
        here, there = cells[:, cell] / scale[cell], others[:, cell] / scale[cell]
        squares = (here**2).sum(1)[:, None] + (there**2).sum(1)[None] - 2 * here @ there.T
        apart = np.sqrt(np.maximum(squares, 0) / cells.shape[2])
        by_cell[:, cell] = np.partition(apart, nearest - 1, axis=1)[:, :nearest].mean(1)
    return np.asarray(np.quantile(by_cell, _QUARTILE, axis=1))


def _held_out_distances(cells: np.ndarray) -> np.ndarray:
    """float64 [n]: each image from those of other folds. Neighbours in the list can be sister parts and share one."""
    n = len(cells)
    if n < 2:
        return np.empty(0)
    distances = np.empty(n)
    for first, end in pairwise(n * fold // min(_FOLDS, n) for fold in range(min(_FOLDS, n) + 1)):
        others = np.concatenate([cells[:first], cells[end:]])
        distances[first:end] = _distances(cells[first:end], others, _spread(others))
    return distances
