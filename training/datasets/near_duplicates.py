"""Which images of a data set are the same picture: byte for byte, or saved again, resized, brightened, moved a little.

Good parts in a fixture all look alike, and are different images all the same. So how alike two images are is not asked,
but whether one explains the other: one small grey picture is predicted from the other and its slopes (what a gain, an
offset, a shift of a pixel and another sharpness make of it), and what is left over decides. Of a copy nearly nothing
is left over: less than coding with losses leaves, and clearly less than is left over between images of this very set.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from records.assets.images import as_rgb

_THUMBNAIL = 64  # pixels a side, whatever the image's shape
_VIEW = 32  # pixels a side of the smoothed picture that is compared
_BORDER = 2  # pixels of it that a shift brings in from outside

# One rule for every set of images, measured on six of them (see the test of this module).
_MAX_RESIDUAL = 1.2  # grey levels of 255, root mean square
_MAX_UNEXPLAINED = 0.15  # of the contrast
_MAX_PEAK = 4.0  # grey levels, at the pixel that differs most, of images with different labels: a small defect is more
_MAX_OF_USUAL = 0.5  # of what is left over between two images of the set, by the median
_MIN_CONTRAST = 1.0  # grey levels; of flatter images only equal bytes tell
_MAX_ASPECT_CHANGE = 0.03  # a resized image keeps its shape but for rounding

_COMPARED_WITH_ALL = 60  # images; in larger sets each is compared with those that look most like it
_NEIGHBOURS = 6
_SAMPLED_PAIRS = 300
_BLOCK = 256
_DARKEST, _BRIGHTEST = 4, 244  # beyond these a brightened picture is cut off, and nothing can be predicted


@dataclass(frozen=True, eq=False)
class ImageDescription:
    """What is needed of an image to find its duplicates: `thumbnail` is uint8 [64, 64], grey."""

    sha256: str
    width: int
    height: int
    thumbnail: np.ndarray


def describe_image(image: Image.Image, sha256: str) -> ImageDescription:
    """The description of decoded, upright pixels and of the bytes that they came from."""
    grey = as_rgb(image).convert("L")  # which of 16-bit pixels alone would clip nearly all
    small = grey.resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
    return ImageDescription(sha256, image.width, image.height, np.asarray(small, dtype=np.uint8))


def duplicate_groups(descriptions: Sequence[ImageDescription], labels: Sequence[bool] = ()) -> list[list[int]]:
    """Groups of two or more images that are the same picture, as ascending positions in `descriptions`.

    What equals, or nearly equals, one member of a group belongs to it. Where the images have labels (defective or
    not), two with different ones nearly equal each other only if they differ nowhere as a small defect would.
    """
    groups = _Groups(len(descriptions))
    first: dict[str, int] = {}
    for position, description in enumerate(descriptions):
        groups.join(position, first.setdefault(description.sha256, position))
    distinct = sorted(first.values())
    for pair in near_equal_pairs([descriptions[position] for position in distinct]):
        left, right = distinct[pair.left], distinct[pair.right]
        if not labels or labels[left] == labels[right] or pair.peak <= _MAX_PEAK:
            groups.join(left, right)
    return groups.of_several()


@dataclass(frozen=True)
class NearEqualPair:
    """Positions of two images that are the same picture; `peak`: how far they differ at one pixel, in grey levels."""

    left: int
    right: int
    peak: float


def near_equal_pairs(descriptions: Sequence[ImageDescription]) -> list[NearEqualPair]:
    """The images that are the same picture, though not the same bytes."""
    positions = [position for position, row in enumerate(descriptions) if row.thumbnail.std() >= _MIN_CONTRAST]
    if len(positions) < 2:
        return []
    views = _Views(np.stack([descriptions[position].thumbnail for position in positions]))
    pairs = _candidates(views.pixels)
    aspects = np.log([descriptions[position].width / descriptions[position].height for position in positions])
    pairs = pairs[np.abs(aspects[pairs[:, 0]] - aspects[pairs[:, 1]]) <= _MAX_ASPECT_CHANGE]
    leftover = views.compare(pairs)
    limit = min(_MAX_RESIDUAL, _MAX_OF_USUAL * _usual_residual(views))
    near = (leftover.residual <= limit) & (leftover.unexplained <= _MAX_UNEXPLAINED)
    return [
        NearEqualPair(positions[left], positions[right], float(peak))
        for (left, right), peak in zip(pairs[near], leftover.peak[near], strict=True)
    ]


def _candidates(pixels: np.ndarray) -> np.ndarray:
    """Pairs (int [n, 2], the smaller position first) that are worth a comparison."""
    count = len(pixels)
    if count <= _COMPARED_WITH_ALL:
        return np.stack(np.triu_indices(count, 1), axis=1)
    # What all images have in common, such as a fixture, tells none from another.
    normal = _normal(pixels.reshape(count, -1))
    special = _normal(normal - normal.mean(axis=0))
    pairs = set()
    for start in range(0, count, _BLOCK):
        alike = special[start : start + _BLOCK] @ special.T
        rows = np.arange(len(alike))
        alike[rows, start + rows] = -np.inf
        for row, columns in enumerate(np.argpartition(-alike, _NEIGHBOURS, axis=1)[:, :_NEIGHBOURS]):
            pairs |= {(min(start + row, int(column)), max(start + row, int(column))) for column in columns}
    return np.array(sorted(pairs))


def _normal(rows: np.ndarray) -> np.ndarray:
    """Rows without their mean, of length 1: their products are correlations."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6)


def _usual_residual(views: _Views) -> float:
    """What is left over between two images of the set, by the median; infinite where two are all there are."""
    count = len(views.pixels)
    if count == 2:
        return np.inf
    pairs = np.stack(np.triu_indices(count, 1), axis=1) if count <= 30 else _sampled_pairs(count)
    return float(np.median(views.compare(pairs).residual))


def _sampled_pairs(count: int) -> np.ndarray:
    rng = np.random.default_rng(0)  # the same images have the same duplicates
    left = rng.integers(0, count, _SAMPLED_PAIRS)
    return np.stack([left, (left + rng.integers(1, count, _SAMPLED_PAIRS)) % count], axis=1)


@dataclass(frozen=True)
class _Leftover:
    """What one image does not explain of another, for each pair: root mean square and largest, in grey levels, and the
    former as a share of the contrast."""

    residual: np.ndarray
    peak: np.ndarray
    unexplained: np.ndarray


class _Views:
    """The small pictures of a set, and what explains one from another."""

    def __init__(self, thumbnails: np.ndarray) -> None:
        smooth = gaussian_filter(thumbnails.astype(np.float32), (0, 1, 1))
        factor = _THUMBNAIL // _VIEW
        self.pixels = smooth.reshape(len(smooth), _VIEW, factor, _VIEW, factor).mean(axis=(2, 4))

    def compare(self, pairs: np.ndarray) -> _Leftover:
        """The worse of both directions counts: a plain image is explained by any other one."""
        forth, back = self._leftover(pairs), self._leftover(pairs[:, ::-1])
        return _Leftover(*np.maximum(forth, back))

    def _leftover(self, pairs: np.ndarray) -> np.ndarray:
        """The fields of `_Leftover` as rows [3, n]."""
        blocks = [self._of_block(pairs[start : start + _BLOCK]) for start in range(0, len(pairs), _BLOCK)]
        return np.concatenate(blocks, axis=1) if blocks else np.zeros((3, 0))

    def _of_block(self, pairs: np.ndarray) -> np.ndarray:
        """Least squares of the second image on the first one, its slopes and its curvature."""
        first, second = self.pixels[pairs[:, 0]].astype(np.float64), self.pixels[pairs[:, 1]].astype(np.float64)
        weights = _weights(first, second)
        terms = np.stack([_inner(term) for term in _explanations(first)], axis=1)
        total = weights.sum(axis=1)
        target = _inner(second)
        target = target - ((target * weights).sum(axis=1) / total)[:, None]
        terms = terms - ((terms * weights[:, None]).sum(axis=2) / total[:, None])[..., None]
        weighted = terms * weights[:, None]
        normal = weighted @ terms.transpose(0, 2, 1)
        # Where the terms say the same, as of stripes, any of the solutions will do.
        normal += (1e-6 * np.trace(normal, axis1=1, axis2=2) + 1e-6)[:, None, None] * np.eye(normal.shape[1])
        factors = np.linalg.solve(normal, (weighted @ target[..., None]))
        leftover = weights * (target - (factors.transpose(0, 2, 1) @ terms)[:, 0])
        residual = np.sqrt((leftover**2).sum(axis=1) / total)
        contrast = np.sqrt((weights * target**2).sum(axis=1) / total)
        return np.stack([residual, np.abs(leftover).max(axis=1), residual / np.maximum(contrast, 1e-6)])


def _explanations(pictures: np.ndarray) -> Iterator[np.ndarray]:
    """The picture, its slopes and its curvature: the terms of what a gain, a shift and another sharpness change."""
    down, right = np.gradient(pictures, axis=(1, 2))
    yield pictures
    yield down
    yield right
    yield np.gradient(down, axis=1)
    yield np.gradient(right, axis=2)
    yield np.gradient(down, axis=2)


def _inner(pictures: np.ndarray) -> np.ndarray:
    """Without the border, each picture as one row."""
    inside = slice(_BORDER, -_BORDER)
    return pictures[:, inside, inside].reshape(len(pictures), -1)


def _weights(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """0 where one of two pictures is cut off at black or white, else 1; 1 throughout where too little would be left."""
    low, high = _inner(np.minimum(first, second)), _inner(np.maximum(first, second))
    weights = ((low >= _DARKEST) & (high <= _BRIGHTEST)).astype(np.float64)
    weights[weights.mean(axis=1) < 0.5] = 1.0
    return weights


class _Groups:
    """Disjoint sets of positions."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def join(self, left: int, right: int) -> None:
        left, right = self._root(left), self._root(right)
        self._parents[max(left, right)] = min(left, right)

    def of_several(self) -> list[list[int]]:
        members: dict[int, list[int]] = {}
        for position in range(len(self._parents)):
            members.setdefault(self._root(position), []).append(position)
        return [group for group in members.values() if len(group) > 1]

    def _root(self, position: int) -> int:
        while self._parents[position] != position:
            self._parents[position] = self._parents[self._parents[position]]
            position = self._parents[position]
        return position
