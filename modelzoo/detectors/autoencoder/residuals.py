"""Mean and spread of the residuals of good images at each position, and how far other residuals lie above them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from modelzoo.detectors.smoothing import Smoothing

# Added to every position's spread, as a share of the mean spread: positions that hardly vary must not blow up.
FLOOR = 0.5
# Weight of the global level in each position's variance, in images: it decides only where images are very few.
PRIOR = 0.1
# Spread that even perfectly redrawn images are given: a fortieth of a grey level.
MIN_SPREAD = 1e-4


@dataclass(frozen=True)
class ResidualStatistics:
    """Residuals of good images at each position.

    Attributes:
        mean, spread: float32 [H,W]; the spread is a standard deviation with its floor, above 0 everywhere.
    """

    mean: torch.Tensor
    spread: torch.Tensor

    def deviations(self, maps: torch.Tensor) -> torch.Tensor:
        """Smoothed residuals, float32 [B,H,W], in spreads above the mean; 0 where they are not above it."""
        return ((maps - self.mean) / self.spread).clamp(min=0)

    def to(self, device: str) -> ResidualStatistics:
        return ResidualStatistics(self.mean.to(device), self.spread.to(device))


class ResidualSums:
    """Count, sum and sum of squares of maps per position; two of them add and subtract exactly enough to cross-fit."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.count = 0
        self.sums = torch.zeros(size, dtype=torch.float64)
        self.squares = torch.zeros(size, dtype=torch.float64)

    def add(self, maps: torch.Tensor) -> None:
        """Take in float32 [B,H,W] of any device."""
        values = maps.double().cpu()
        self.count += len(values)
        self.sums += values.sum(0)
        self.squares += values.square().sum(0)

    def without(self, other: ResidualSums) -> ResidualSums:
        """What is left when the maps of `other` are taken away."""
        difference = ResidualSums((self.sums.shape[0], self.sums.shape[1]))
        difference.count = self.count - other.count
        difference.sums = self.sums - other.sums
        difference.squares = self.squares - other.squares
        return difference

    def statistics(self, blur: Smoothing) -> ResidualStatistics:
        """Mean and spread per position; `blur` smooths the variance, which few images estimate only roughly. What it
        ignores is left out of the means over all positions."""
        judged = torch.ones_like(self.sums, dtype=torch.bool) if blur.scale is None else blur.scale > 0
        mean = self.sums / self.count
        # A tenth of a pretended image, off by the mean residual, keeps one or two from claiming to vary by nothing.
        scatter = (self.squares - self.count * mean.square()).clamp(min=0) + PRIOR * mean[judged].mean().square()
        variance = scatter / (self.count - 1 + PRIOR)
        spread = blur(variance.float()[None])[0].sqrt()
        return ResidualStatistics(mean.float(), spread + FLOOR * spread[judged].mean() + MIN_SPREAD)
