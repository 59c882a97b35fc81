"""Structural similarity of two images (Wang, Bovik, Sheikh and Simoncelli 2004), differentiable."""

from __future__ import annotations

import torch
from torch.nn import functional

# As in the paper: an 11 x 11 Gaussian window, and two constants that keep flat regions from dividing by 0.
RADIUS, SIGMA = 5, 1.5
C1, C2 = 0.01**2, 0.03**2


def ssim(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Mean structural similarity per image, float32 [B], 1 for equal ones.

    Args:
        a, b: float32 [B,C,H,W] in 0..1, at least 11 pixels a side. Only windows that lie wholly inside count.
    """
    mean_a, mean_b = _window(a), _window(b)
    variance_a = _window(a * a) - mean_a.square()
    variance_b = _window(b * b) - mean_b.square()
    covariance = _window(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + C1) / (mean_a.square() + mean_b.square() + C1)
    structure = (2 * covariance + C2) / (variance_a + variance_b + C2)
    return (luminance * structure).mean((1, 2, 3))


def _window(x: torch.Tensor) -> torch.Tensor:
    """Gaussian mean around every pixel whose window fits, one axis after the other."""
    channels = x.shape[1]
    offsets = torch.arange(-RADIUS, RADIUS + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-0.5 * (offsets / SIGMA) ** 2)
    kernel = (kernel / kernel.sum()).expand(channels, 1, 1, -1)
    return functional.conv2d(functional.conv2d(x, kernel, groups=channels), kernel.mT, groups=channels)
