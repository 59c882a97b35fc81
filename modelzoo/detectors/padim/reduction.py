"""From the channels of several layers to the few features per position that PaDiM keeps.

Shapes: B images, D channels of all layers, C features, [h,w] the grid.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Self

import torch
from torch.nn import functional

from modelzoo.detectors.smoothing import Size


class Reduction(ABC):
    """Makes C features of D channels.

    Attributes:
        tensor: the whole of it, as it is stored.
    """

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor

    @abstractmethod
    def __call__(self, layers: list[torch.Tensor], grid: Size) -> torch.Tensor:
        """float32 [B,C,h,w] of feature maps [B,d,*,*] in any precision, D channels in all."""

    @abstractmethod
    def convolve(self, layers: list[torch.Tensor], grid: Size) -> torch.Tensor:
        """The same in operations that every runtime knows and lays out as it likes."""

    def to(self, device: str) -> Self:
        """Move to a device; returns self."""
        self.tensor = self.tensor.to(device)
        return self


class Selection(Reduction):
    """Some channels as they are: the paper's reduction. `tensor`: int64 [C], ascending."""

    def __init__(self, tensor: torch.Tensor) -> None:
        super().__init__(tensor)
        self._channels_by_layer: list[torch.Tensor] = []

    def __call__(self, layers: list[torch.Tensor], grid: Size) -> torch.Tensor:
        if len(self._channels_by_layer) != len(layers):
            self._channels_by_layer = self._split([features.shape[1] for features in layers])
        joined = layers[0].new_empty(len(layers[0]), *grid, len(self.tensor), dtype=torch.float32)
        first = 0
        for features, channels in zip(layers, self._channels_by_layer, strict=True):
            end = first + len(channels)
            # Channels lie last in memory: chosen there, before anything is resampled, a position is one short copy.
            channel_features = features.permute(0, 2, 3, 1).index_select(3, channels)
            _resample_into(channel_features, joined[..., first:end])
            first = end
        return joined.permute(0, 3, 1, 2)

    def convolve(self, layers: list[torch.Tensor], grid: Size) -> torch.Tensor:
        selection = functional.one_hot(self.tensor, sum(features.shape[1] for features in layers))
        return Projection(selection.T.float()).convolve(layers, grid)

    def _split(self, widths: list[int]) -> list[torch.Tensor]:
        """Which channels of each layer, layers of these widths one after the other."""
        bounds = list(accumulate(widths, initial=0))
        return [self.tensor[(self.tensor >= first) & (self.tensor < end)] - first for first, end in pairwise(bounds)]

    def to(self, device: str) -> Self:
        self._channels_by_layer = []
        return super().to(device)


class Projection(Reduction):
    """Linear combinations of all channels. `tensor`: float32 [D,C] with orthonormal columns."""

    def __call__(self, layers: list[torch.Tensor], grid: Size) -> torch.Tensor:
        # Projecting and resampling are both linear; each layer is projected where it has fewest positions. Channels lie
        # last in memory: a matrix product, and sums into what is there already.
        joined = layers[0].new_zeros(len(layers[0]), *grid, self.tensor.shape[1], dtype=torch.float32)
        for features, part in zip(layers, self._by_layer(layers), strict=True):
            _add_resampled(features.permute(0, 2, 3, 1).float() @ part, joined)
        return joined.permute(0, 3, 1, 2)

    def convolve(self, layers: list[torch.Tensor], grid: Size) -> torch.Tensor:
        projected = [
            resample(functional.conv2d(features.float(), part.T[:, :, None, None]), grid)
            for features, part in zip(layers, self._by_layer(layers), strict=True)
        ]
        return torch.stack(projected).sum(0)

    def _by_layer(self, layers: list[torch.Tensor]) -> Sequence[torch.Tensor]:
        return self.tensor.split([features.shape[1] for features in layers])


def random_selection(available: int, n_features: int, seed: int) -> Selection:
    """`n_features` of `available` channels, drawn."""
    generator = torch.Generator().manual_seed(seed)
    return Selection(torch.randperm(available, generator=generator)[:n_features].sort().values)


def random_projection(available: int, n_features: int, seed: int) -> Projection:
    """A random semi-orthogonal matrix, as in later work on PaDiM (Kim et al. 2021, "Semi-orthogonal embedding for
    efficient unsupervised anomaly segmentation"): every channel has its say, and distances are kept on average."""
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(available, n_features, generator=generator, dtype=torch.float64)
    # In rows, as an artifact keeps it: a product of the same numbers in columns may differ in its last digit.
    return Projection(torch.linalg.qr(matrix).Q.float().contiguous())


class PrincipalComponents:
    """Streaming covariance of all channels, over images and positions alike, and its largest components."""

    def __init__(self) -> None:
        self.n = 0
        self.shift: torch.Tensor  # float32 [1,D], a point near the mean: keeps the sums of products small
        self.sum: torch.Tensor  # float64 [D]
        self.products: torch.Tensor  # float64 [D,D]

    def add(self, layers: list[torch.Tensor], grid: Size) -> None:
        """Take in feature maps [B,d,*,*], resampled to the grid."""
        joined = torch.cat([resample(features, grid) for features in layers], dim=1)
        rows = joined.flatten(2).transpose(1, 2).flatten(0, 1)
        if self.n == 0:
            self.shift = rows.mean(0, keepdim=True)
            self.sum = torch.zeros_like(self.shift[0], dtype=torch.float64)
            self.products = self.sum.new_zeros(len(self.sum), len(self.sum))
        y = rows - self.shift
        self.n += len(y)
        self.sum += y.sum(0, dtype=torch.float64)
        self.products += (y.T @ y).double()

    def projection(self, n_features: int) -> Projection:
        """On the `n_features` directions in which the features vary most."""
        covariance = self.products / self.n - torch.outer(self.sum, self.sum) / self.n**2
        _, vectors = torch.linalg.eigh(covariance)  # ascending
        return Projection(vectors[:, -n_features:].flip(1).float().contiguous())


def resample(features: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Features [B,C,h,w] on the grid: averaged where they are finer, repeated where they are coarser."""
    if tuple(features.shape[2:]) == grid:
        return features
    if features.shape[2] > grid[0]:
        return functional.adaptive_avg_pool2d(features, grid)
    return functional.interpolate(features, grid, mode="nearest")


def _resample_into(features: torch.Tensor, target: torch.Tensor) -> None:
    """`resample` of features [B,h,w,c] in any precision, written to float32 [B,H,W,c]."""
    cells, repeated = _matched(features, target)
    cells[:] = repeated


def _add_resampled(features: torch.Tensor, target: torch.Tensor) -> None:
    """`resample` of features float32 [B,h,w,c], added to float32 [B,H,W,c]."""
    cells, repeated = _matched(features, target)
    cells += repeated


def _matched(features: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A view of `target` [B,H,W,c] and features [B,h,w,c] resampled to it, in shapes that fit each other. Where they
    only have to be repeated they are not copied."""
    (height, width), grid = features.shape[1:3], target.shape[1:3]
    rows, columns = grid[0] // height, grid[1] // width
    if (height * rows, width * columns) == tuple(grid):
        return target.unflatten(2, (width, columns)).unflatten(1, (height, rows)), features[:, :, None, :, None]
    return target, resample(features.permute(0, 3, 1, 2).float(), (grid[0], grid[1])).permute(0, 2, 3, 1)
