"""Ground-truth masks: which pixels of an image are defective.

Masks serve pixel figures alone. One that cannot be used is left out and named; its image stays.

A mask is kept as it came where it is plain: PNG or JPEG, grey, with two levels, or with more as lossy compression and
resizing leave them. Any other (palette, transparency, 16 bit, BMP, TIFF, several levels, several files of one image,
boxes and polygons) is kept as a black-and-white PNG of what it marks.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from records.assets.formats import format_of
from records.assets.images import ImageRejected, UploadLimits, open_pixels, open_rgb, read_bounded
from training.datasets.layouts.entries import DatasetRejected, MaskSource

WHITE = (255, 255, 255)
_MASK_DARK, _MASK_BRIGHT, _MASK_BLURRED = 32, 223, 0.05
_MAX_LABELS = 16  # levels, or colours, up to which a mask without loss numbers kinds of defect
# Of the masks of a data set so many are looked at, and so many at least, to tell black from white background.
_MAX_LOOKED_AT, _MIN_LOOKED_AT, _NEARLY_ALL = 40, 3, 0.9
_MIN_LABEL_GAP = 8  # between two such levels, unless all are small numbers


class MaskUnusable(Exception):
    """Why a mask is left out. `code` is one of `mask_unreadable`, `mask_size`, `mask_empty`."""

    def __init__(self, code: str, reason: str, path: Path | None = None) -> None:
        super().__init__(reason)
        self.code, self.reason, self.path = code, reason, path


@dataclass(frozen=True)
class Mask:
    """The bytes of the file that is kept, and whether a soft edge was cut at half."""

    data: bytes
    is_soft: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def open_mask(mask: bytes | Path, limits: UploadLimits) -> np.ndarray:
    """The defective pixels of a mask that is kept.

    Where the mask has at most two grey levels, everything that is not black is defective (0/255 and 0/1 alike). Where
    it has more, as after lossy compression or resizing, a pixel is defective above 127, if at most 5 % of the pixels
    lie between 32 and 223 and some lie above.

    Args:
        mask: the bytes of the file, or its path.
        limits: of upload validation.

    Returns:
        bool [H, W], upright.

    Raises:
        ImageRejected: it is not an image that passes upload validation.
        DatasetRejected: `mask_mismatch`, it is not plain, or is black all over.
    """
    rgb = np.asarray(open_rgb(mask, limits))
    pixels = _plain_pixels(rgb)
    if pixels is None:
        raise DatasetRejected("it is coloured, or cannot be made black and white", code="mask_mismatch")
    if not pixels.any():
        raise DatasetRejected("it is completely black", code="mask_mismatch")
    return pixels


def read_mask(source: MaskSource, size: tuple[int, int], limits: UploadLimits) -> tuple[Mask, list[MaskUnusable]]:
    """The mask of an image of `size` (width, height), and which of several files were left out of it.

    Raises:
        MaskUnusable: nothing is left.
    """
    problems: list[MaskUnusable] = []
    masks: list[tuple[np.ndarray, Mask]] = []
    for path in source.files:
        try:
            masks.append(_read_file(path, size, limits, source.background))
        except MaskUnusable as problem:
            problems.append(problem)
    drawn = _draw(source, size)
    if drawn is not None:
        masks.append((drawn, Mask(encode(drawn))))
    if not masks:
        raise problems[0] if problems else MaskUnusable("mask_empty", "It marks nothing.")
    if len(masks) == 1:
        return masks[0][1], problems
    union = np.logical_or.reduce([pixels for pixels, _ in masks])
    return Mask(encode(union), any(mask.is_soft for _, mask in masks)), problems


def encode(pixels: np.ndarray) -> bytes:
    """A black-and-white PNG, byte for byte the same on every machine: its content is not compressed."""
    height, width = pixels.shape
    rows = np.hstack([np.zeros((height, 1), np.uint8), np.packbits(pixels, axis=1)]).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", _stored(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )


def is_like_a_mask(path: Path, limits: UploadLimits) -> bool:
    """Whether an image beside another one is its mask rather than a picture: hardly any of its pixels are grey."""
    try:
        grey = _grey(_open(read_bounded(path, limits), limits))
    except (ImageRejected, OSError):
        return False
    return len(np.unique(grey)) <= _MAX_LABELS or _is_two_sided(np.bincount(grey.ravel(), minlength=256))


def marks_something(path: Path, limits: UploadLimits) -> bool:
    """Whether any pixel of a mask is not background; False for what cannot be read."""
    try:
        return bool(_marked(_open(read_bounded(path, limits), limits), None)[0].any())
    except (ImageRejected, OSError):
        return False


def lie_on_white(paths: Sequence[Path], limits: UploadLimits) -> bool:
    """Whether the masks of a data set mark what is good: nearly all of them are white on nearly all of their border,
    and black in less than half of their pixels. One mask alone may be of a part that is defective all over; many are
    not."""
    chosen = paths[:: max(1, len(paths) // _MAX_LOOKED_AT)]
    inverted = [_lies_on_white(path, limits) for path in chosen]
    read = [one for one in inverted if one is not None]
    return len(read) >= _MIN_LOOKED_AT and sum(read) >= _NEARLY_ALL * len(read)


def _lies_on_white(path: Path, limits: UploadLimits) -> bool | None:
    """None for what cannot be read, or has more than two levels."""
    try:
        grey = _grey(_open(read_bounded(path, limits), limits).convert("L"))
    except (ImageRejected, OSError):
        return None
    if not _is_two_sided(np.bincount(grey.ravel(), minlength=256)) and len(np.unique(grey)) > 2:
        return None
    white = grey > grey.max() / 2
    border = np.concatenate([white[0], white[-1], white[:, 0], white[:, -1]])
    return bool(border.mean() > _NEARLY_ALL and not white.all() and white.mean() > 0.5)


# ---------------------------------------------------------------- one file
def _read_file(
    path: Path, size: tuple[int, int], limits: UploadLimits, background: tuple[int, int, int] | None
) -> tuple[np.ndarray, Mask]:
    try:
        data = read_bounded(path, limits)
        image = _open(data, limits)
    except ImageRejected as refusal:
        raise MaskUnusable("mask_unreadable", f"The mask cannot be read. {refusal.detail}", path) from refusal
    except OSError as error:
        raise MaskUnusable("mask_unreadable", f"The mask cannot be read ({error.strerror or error}).", path) from error
    if image.size != size:
        raise MaskUnusable(
            "mask_size",
            f"The mask has {image.width} x {image.height} pixels, its image {size[0]} x {size[1]}.",
            path,
        )
    pixels, is_soft = _marked(image, background)
    if not pixels.any():
        raise MaskUnusable("mask_empty", "The mask marks nothing.", path)
    return pixels, Mask(data if _is_kept(data, image, pixels) else encode(pixels), is_soft)


def _open(data: bytes, limits: UploadLimits) -> Image.Image:
    return open_pixels(data, limits)


def _is_kept(data: bytes, image: Image.Image, pixels: np.ndarray) -> bool:
    """Whether `open_mask` reads the same from the file as it came."""
    if format_of(data[:64]) not in ("PNG", "JPEG") or image.mode == "I;16":
        return False
    plain = _plain_pixels(np.asarray(image.convert("RGB")))
    return plain is not None and bool((plain == pixels).all())


def _plain_pixels(rgb: np.ndarray) -> np.ndarray | None:
    """What a plain mask marks; None where it is coloured or soft."""
    grey = rgb[..., 0]
    if not (rgb == grey[..., None]).all():
        return None
    counts = np.bincount(grey.ravel(), minlength=256)
    if np.count_nonzero(counts) <= 2:
        return grey > 0
    return grey > 127 if _is_two_sided(counts) else None


def _marked(image: Image.Image, background: tuple[int, int, int] | None) -> tuple[np.ndarray, bool]:
    """What any mask marks: what is not background. And whether a soft one was cut at half."""
    if background == WHITE and not (image.mode == "RGB" and _is_coloured(image)):
        grey = _grey(image)
        image = Image.fromarray(grey.max() - grey)
    elif background is not None:
        return (np.asarray(image.convert("RGB")) != np.array(background, np.uint8)).any(axis=2), False
    if image.mode == "RGB" and _is_coloured(image):
        return _not_background(np.asarray(image)), False
    grey = _grey(image)
    counts = np.bincount(grey.ravel(), minlength=256)
    levels = np.flatnonzero(counts)
    if len(levels) <= 2 or _numbers_labels(levels):
        return _other_than_background(grey, counts), False
    if _is_two_sided(counts):
        return grey > 127, False
    return grey > levels[-1] / 2, True


def _grey(image: Image.Image) -> np.ndarray:
    """8-bit grey. Of 16 bits the range that is used counts, so that the numbers of labels stay apart from black."""
    values = np.asarray(image.convert("L") if image.mode == "RGB" else image)
    if values.dtype == np.uint8:
        return values
    if values.max() <= 255:
        return values.astype(np.uint8)
    return np.where(values > 0, np.maximum(values.astype(np.uint32) * 255 // values.max(), 1), 0).astype(np.uint8)


def _is_coloured(image: Image.Image) -> bool:
    rgb = np.asarray(image)
    return not (np.ptp(rgb.astype(np.int16), axis=2) <= 8).all()  # lossy compression tints grey a little


def _not_background(rgb: np.ndarray) -> np.ndarray:
    """Of coloured labels: what is not black, or not the most frequent colour where nothing is."""
    if (rgb.max(axis=2) == 0).any():
        return rgb.max(axis=2) > (0 if len(np.unique(rgb.reshape(-1, 3), axis=0)) <= _MAX_LABELS else 127)
    colours, counts = np.unique(rgb.reshape(-1, 3), axis=0, return_counts=True)
    return (rgb != colours[counts.argmax()]).any(axis=2)


def _other_than_background(grey: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Black is background, else the most frequent of several levels; one bright level alone marks everything."""
    if counts[0] or np.count_nonzero(counts) == 1:
        return grey > 0
    return grey != counts.argmax()


def _numbers_labels(levels: np.ndarray) -> bool:
    """Whether a few levels number kinds: small numbers, or values well apart."""
    if len(levels) > _MAX_LABELS:
        return False
    return bool(levels[-1] < _MASK_DARK or np.diff(levels).min() >= _MIN_LABEL_GAP)


def _is_two_sided(counts: np.ndarray) -> bool:
    """Whether nearly all pixels are nearly black or nearly white, and some are white."""
    blurred = counts[_MASK_DARK : _MASK_BRIGHT + 1].sum() / counts.sum()
    return bool(blurred <= _MASK_BLURRED and (counts[_MASK_BRIGHT + 1 :].any() or not counts[1:].any()))


# ---------------------------------------------------------------- drawing
def _draw(source: MaskSource, size: tuple[int, int]) -> np.ndarray | None:
    """What boxes and polygons cover; None where there are none, or they cover nothing of the image."""
    if not (source.boxes or source.polygons):
        return None
    width, height = size
    pixels = np.zeros((height, width), bool)
    for left, top, right, bottom in source.boxes:
        x, y = max(round(left * width), 0), max(round(top * height), 0)
        pixels[y : max(round(bottom * height), y + 1), x : max(round(right * width), x + 1)] = True
    for polygon in source.polygons:
        _fill(pixels, np.array(polygon) * (width, height))
    return pixels if pixels.any() else None


def _fill(pixels: np.ndarray, corners: np.ndarray) -> None:
    """Mark the pixels whose centres lie within a polygon of [n, 2] corners (x, y)."""
    height = len(pixels)
    starts, ends = corners, np.roll(corners, -1, axis=0)
    rows = np.arange(max(int(corners[:, 1].min()), 0), min(int(corners[:, 1].max()) + 1, height))
    for row in rows:
        middle = row + 0.5
        crosses = (starts[:, 1] <= middle) != (ends[:, 1] <= middle)
        (x0, y0), (x1, y1) = starts[crosses].T, ends[crosses].T
        crossings = np.sort(x0 + (middle - y0) / (y1 - y0) * (x1 - x0))
        for left, right in zip(crossings[::2], crossings[1::2], strict=True):
            pixels[row, max(int(np.ceil(left - 0.5)), 0) : max(int(np.ceil(right - 0.5)), 0)] = True


def _stored(content: bytes) -> bytes:
    """A zlib stream of uncompressed blocks."""

    def blocks() -> Iterator[bytes]:
        for start in range(0, len(content), 65535):
            block = content[start : start + 65535]
            is_last = start + 65535 >= len(content)
            yield struct.pack("<BHH", is_last, len(block), len(block) ^ 0xFFFF) + block

    return b"\x78\x01" + b"".join(blocks()) + struct.pack(">I", zlib.adler32(content))
