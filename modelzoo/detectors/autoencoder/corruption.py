"""What keeps an autoencoder with skip connections from copying its input, defects included.

- Stains, from Collin and De Vleeschouwer 2021, "Improved anomaly detection by training an autoencoder with skip
  connections on images corrupted with stain-shaped noise": blobs that the training takes out again. Scores are taken
  without them.
- Masks, after Zavrtanik, Kristan and Skocaj 2021, "Reconstruction by inpainting for visual anomaly detection": three
  quarters of the squares of a grid are hidden, here from the skip connections alone. At scoring each square is hidden
  in three of four turns and only its hidden turns count, so no skip connection can copy what is compared.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

# Stains: how many, their half-axes as a share of the shorter side, how opaque, how ragged.
STAINS = 2
STAIN_SHARE = 0.8
STAIN_AXES = (0.04, 0.3)
STAIN_OPACITY = (0.2, 1.0)
RAGGEDNESS = 0.8
# Masks: the side of a square in the network's pixels, one cell of its coarsest grid, and in how many turns all of them
# are seen once.
SQUARE_SIDE = 16
SCORING_PASSES = 4


def add_stains(images: torch.Tensor) -> torch.Tensor:
    """Up to two ragged ellipses per image, of any place, direction, size, grey or colour, blended over it."""
    result = images.float()
    n, height, width = len(images), *images.shape[2:]
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    shape = (n, 1, 1, 1)
    for _ in range(STAINS):
        y, x = rows - height * torch.rand(shape), columns - width * torch.rand(shape)
        angle = math.pi * torch.rand(shape)
        low, high = (math.log(share * min(height, width)) for share in STAIN_AXES)
        long, wide = (torch.empty(shape).uniform_(low, high).exp() for _ in range(2))
        along, across = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
        distance = (along / long).square() + (across / wide).square() + RAGGEDNESS * _random_field(n, height, width)
        opacity = torch.empty(shape).uniform_(*STAIN_OPACITY) * (torch.rand(shape) < STAIN_SHARE)
        # A soft edge of the blob distance < 1.
        blend = opacity * torch.sigmoid(6 * (1 - distance))
        grey = torch.rand(shape).expand(-1, 3, -1, -1)
        colour = torch.where(torch.rand(shape) < 0.5, grey, torch.rand(n, 3, 1, 1))
        result = torch.lerp(result, (255 * colour).expand_as(result), blend.expand_as(result))
    return result.round().to(torch.uint8)


def _random_field(n: int, height: int, width: int) -> torch.Tensor:
    """A smooth random field, float32 [n,1,H,W], about normal, that changes over a twentieth of the shorter side."""
    cell = max(2, min(height, width) // 20)
    coarse = torch.randn(n, 1, height // cell + 2, width // cell + 2)
    return functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)


def random_masks(n: int, size: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    """float32 [n,1,H,W], 1 where hidden: three quarters of the squares, drawn for each image."""
    draws = torch.rand(n, 1, size[0] // SQUARE_SIDE, size[1] // SQUARE_SIDE, generator=generator)
    return _enlarge(draws >= 1 / SCORING_PASSES)


def scoring_masks(size: tuple[int, int]) -> torch.Tensor:
    """float32 [4,1,H,W]: four masks like those of `random_masks` that hide every square in three; always the same."""
    rows, columns = size[0] // SQUARE_SIDE, size[1] // SQUARE_SIDE
    order = torch.randperm(rows * columns, generator=torch.Generator().manual_seed(0)).view(1, rows, columns)
    return _enlarge(torch.stack([order % SCORING_PASSES != turn for turn in range(SCORING_PASSES)]))


def _enlarge(squares: torch.Tensor) -> torch.Tensor:
    return squares.float().repeat_interleave(SQUARE_SIDE, -2).repeat_interleave(SQUARE_SIDE, -1)
