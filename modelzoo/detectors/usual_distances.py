"""How far good parts usually lie from what was learnt, at each position: distances are divided by it.

One map is one image score, its maximum. So a position at which good parts differ more than elsewhere decides for all
others: the edge of a part, or the border of the image, where the network has seen half a patch and zeros. On a fine
texture the largest distance of nearly every image, good or defective, lies in one of its four corners. Divided by what
held-out good parts reach there, distances of all positions are of one kind.

Shapes: B images, P positions.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

# What a position's neighbours know of it counts as much as so many images: few images alone tell little of a spread.
NEIGHBOURS_WEIGHT = 8
# Of the mean over all positions, at least: a position at which all good parts are the same is not infinitely sensitive.
MIN_SHARE = 0.3

Average = Callable[[torch.Tensor], torch.Tensor]
"""Of values float32 [n,P] the weighted means around each position, [n,P]."""


class UsualDistances:
    """Mean plus some standard deviations of the distances of held-out good images, for each position.

    Args:
        positions: P.
        spreads: how many standard deviations.
        neighbours: what a position's neighbours say.
        device: of the distances.
    """

    def __init__(self, positions: int, spreads: float, neighbours: Average, device: torch.device | str = "cpu") -> None:
        self.n = 0
        self.spreads = spreads
        self.neighbours = neighbours
        self._sum = torch.zeros(positions, dtype=torch.float64, device=device)
        self._squares = torch.zeros_like(self._sum)

    def add(self, distances: torch.Tensor) -> None:
        """Take in float32 [B,P]."""
        values = distances.double()
        self.n += len(values)
        self._sum += values.sum(0)
        self._squares += values.square().sum(0)

    def of_all(self) -> torch.Tensor:
        """float32 [P], positive."""
        return self._usual(self.n, self._sum[None], self._squares[None])[0]

    def without_each(self, distances: torch.Tensor) -> torch.Tensor:
        """float32 [B,P]: for each of these images, which were taken in, what all others say.

        A held-out score may not lean on its own image, or it would promise fewer false rejects than there will be.
        """
        values = distances.double()
        return self._usual(self.n - 1, self._sum - values, self._squares - values.square())

    def _usual(self, n: int, sums: torch.Tensor, squares: torch.Tensor) -> torch.Tensor:
        mean = sums / n
        variance = (squares / n - mean.square()).clamp_min(0) * (n / max(1, n - 1))
        mean, variance = (self._with_neighbours(n, values.float()) for values in (mean, variance))
        usual = mean + self.spreads * variance.sqrt()
        return usual.clamp_min(MIN_SHARE * usual.mean(1, keepdim=True)).clamp_min(torch.finfo(usual.dtype).tiny)

    def _with_neighbours(self, n: int, values: torch.Tensor) -> torch.Tensor:
        return (n * values + NEIGHBOURS_WEIGHT * self.neighbours(values)) / (n + NEIGHBOURS_WEIGHT)
