"""A network that looks at a large input tile by tile, as if it had seen it at once.

Zero padding disturbs the features near the border of a tile. So tiles overlap, what lies near an inner border is cut
off, and the rest is joined to feature maps of the whole input. At the input's own border nothing is cut: there the
padding is the same as without tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from modelzoo.detectors.backbones.onednn import FeatureFunction
from modelzoo.detectors.options import TILE_STEP


@dataclass(frozen=True)
class Span:
    """One tile along one axis, in pixels.

    Attributes:
        start, end: what the network looks at.
        keep_from, keep_to: what is kept of its features; those of all tiles lie side by side.
    """

    start: int
    end: int
    keep_from: int
    keep_to: int

    def kept(self, stride: int) -> slice:
        """Which of the tile's positions are kept in a layer with so many pixels per position."""
        return slice((self.keep_from - self.start) // stride, -(-(self.keep_to - self.start) // stride))


def spans(length: int, tile: int, overlap: int) -> list[Span]:
    """Tiles that cover an axis of `length` pixels, as few as possible; only the last may be smaller than `tile`.

    Args:
        tile: a multiple of `TILE_STEP`.
        overlap: a multiple of twice that, smaller than the tile. Neighbours share at least as much.
    """
    if length <= tile:
        return [Span(0, length, 0, length)]
    count = -(-(length - overlap) // (tile - overlap))
    # Evenly spread, at multiples of the step, so that positions of the grids fall together.
    last = -(-(length - tile) // TILE_STEP)
    starts = [TILE_STEP * (last * index // (count - 1)) for index in range(count)]
    ends = [min(start + tile, length) for start in starts]
    cuts = [TILE_STEP * ((start + end) // (2 * TILE_STEP)) for start, end in zip(starts[1:], ends, strict=False)]
    return [
        Span(start, end, keep_from, keep_to)
        for start, end, (keep_from, keep_to) in zip(starts, ends, pairwise([0, *cuts, length]), strict=True)
    ]


class TiledForward:
    """A network on tiles of its input.

    Args:
        network: to be run on each tile.
        strides: pixels per position of each of its layers.
        tile, overlap: see `spans`.
    """

    def __init__(self, network: FeatureFunction, strides: Sequence[int], tile: int, overlap: int) -> None:
        self.network = network
        self.strides = strides
        self.tile = tile
        self.overlap = overlap

    def __call__(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Feature maps of uint8 [B,3,H,W], one [B,C,h,w] for each layer, channels last."""
        columns = spans(images.shape[3], self.tile, self.overlap)
        rows = [self._row(images, row, columns) for row in spans(images.shape[2], self.tile, self.overlap)]
        return [torch.cat(parts, dim=2) for parts in zip(*rows, strict=True)]

    def _row(self, images: torch.Tensor, row: Span, columns: list[Span]) -> list[torch.Tensor]:
        """Feature maps of one row of tiles, as high as what is kept of them."""
        tiles = [self._tile(images, row, column) for column in columns]
        return [torch.cat(parts, dim=3) for parts in zip(*tiles, strict=True)]

    def _tile(self, images: torch.Tensor, row: Span, column: Span) -> list[torch.Tensor]:
        layers = self.network(images[:, :, row.start : row.end, column.start : column.end])
        return [
            features[:, :, row.kept(stride), column.kept(stride)]
            for features, stride in zip(layers, self.strides, strict=True)
        ]
