"""Upsampling and blurring of anomaly maps as two small matrix products."""

from __future__ import annotations

import torch
from torch.nn import functional

Size = tuple[int, int]


class Smoothing:
    """Bilinear upsampling from `grid` to `size`, then a Gaussian blur of `sigma` pixels; both (height, width).

    Both steps are linear and separable, so together they are A D B^T with one fixed matrix per axis. That costs a
    tenth of a dense 33 x 33 convolution and gives the same numbers.

    Where some pixels are ignored, bool [H,W], the result is 0 there, and elsewhere the mean of what is judged around a
    pixel (normalised convolution): what is ignored neither adds to its neighbours nor takes from them.

    Attributes:
        rows, columns: float32 [H,h] and [W,w].
        weights: float32 [h,w], the share of each position's pixels that is judged; None where nothing is ignored.
        scale: float32 [H,W], what the blurred weights are missing to 1, and 0 for ignored pixels.
    """

    def __init__(self, grid: Size, size: Size, sigma: float, ignored: torch.Tensor | None = None) -> None:
        self.rows = _axis_matrix(grid[0], size[0], sigma)
        self.columns = _axis_matrix(grid[1], size[1], sigma)
        self.weights: torch.Tensor | None = None
        self.scale: torch.Tensor | None = None
        if ignored is not None:
            judged = (~ignored).float()
            self.weights = functional.adaptive_avg_pool2d(judged[None], grid)[0]
            self.scale = judged / (self.rows @ self.weights @ self.columns.T).clamp_min(torch.finfo().tiny)

    def to(self, device: str) -> None:
        """Move the matrices."""
        self.rows = self.rows.to(device)
        self.columns = self.columns.to(device)
        if self.weights is not None and self.scale is not None:
            self.weights, self.scale = self.weights.to(device), self.scale.to(device)

    def __call__(self, maps: torch.Tensor) -> torch.Tensor:
        """float32 [B,h,w] on the grid to float32 [B,H,W] in model pixels."""
        if self.weights is None or self.scale is None:
            return self.rows @ maps @ self.columns.T
        return self.scale * (self.rows @ (self.weights * maps) @ self.columns.T)


def _axis_matrix(n: int, m: int, sigma: float) -> torch.Tensor:
    """float32 [m,n]: linear interpolation from n to m samples with half-pixel centres, then blurring.

    The blur's kernel is cut at 4 sigma, or where the axis ends, normalised, and mirrored at the borders without
    repeating the edge sample.
    """
    upsample = functional.interpolate(torch.eye(n, dtype=torch.float64)[None], m, mode="linear", align_corners=False)
    matrix = upsample[0].T
    radius = min(int(4 * sigma + 0.5), m - 1)
    if radius:
        offsets = torch.arange(-radius, radius + 1, dtype=torch.float64)
        kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
        kernel /= kernel.sum()
        padded = functional.pad(matrix.T[None], (radius, radius), mode="reflect")[0].T
        matrix = padded.unfold(0, 2 * radius + 1, 1) @ kernel
    return matrix.float().contiguous()
