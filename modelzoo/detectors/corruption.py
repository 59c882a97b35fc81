"""Damage for training: a network that must take it out again cannot learn to copy its input.

With skip connections that is what an undisturbed autoencoder learns, defects included. Two kinds:

- Stains, from Collin and De Vleeschouwer 2021, "Improved anomaly detection by training an autoencoder with skip
  connections on images corrupted with stain-shaped noise". The score is taken without damage.
- Masks, after Zavrtanik, Kristan and Skocaj 2021, "Reconstruction by inpainting for visual anomaly detection": a
  quarter of the squares of a grid is hidden. At scoring each square is hidden once and only the hidden ones are
  compared, so that skip connections cannot copy a defect: it is not in what they see.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

CORRUPTIONS = ("auto", "none", "stain", "mask")

# Stains: how many, their half-axes as a share of the shorter side, how opaque, how ragged.
STAINS = 2
STAIN_SHARE = 0.8
STAIN_AXES = (0.04, 0.3)
STAIN_OPACITY = (0.2, 1.0)
RAGGEDNESS = 0.8
# Masks: the side of a square as a share of the shorter side, in how many turns all squares are hidden, with what grey.
MASK_SIDE = 0.1
TURNS = 4
GREY = 127


def corrupted(images: torch.Tensor, kind: str) -> torch.Tensor:
    """Damaged copies of uint8 [B,3,H,W], drawn with PyTorch's global random state; `none` gives the images back."""
    if kind == "stain":
        return stained(images)
    if kind == "mask":
        return masked(images)
    return images


def stained(images: torch.Tensor) -> torch.Tensor:
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
        distance = (along / long).square() + (across / wide).square() + RAGGEDNESS * _ragged(n, height, width)
        opacity = torch.empty(shape).uniform_(*STAIN_OPACITY) * (torch.rand(shape) < STAIN_SHARE)
        # A soft edge of the blob distance < 1.
        blend = opacity * torch.sigmoid(6 * (1 - distance))
        grey = torch.rand(shape).expand(-1, 3, -1, -1)
        colour = torch.where(torch.rand(shape) < 0.5, grey, torch.rand(n, 3, 1, 1))
        result = torch.lerp(result, (255 * colour).expand_as(result), blend.expand_as(result))
    return result.round().to(torch.uint8)


def _ragged(n: int, height: int, width: int) -> torch.Tensor:
    """A smooth random field, float32 [n,1,H,W], about normal, that changes over a twentieth of the shorter side."""
    cell = max(2, min(height, width) // 20)
    coarse = torch.randn(n, 1, height // cell + 2, width // cell + 2)
    return functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)


def masked(images: torch.Tensor) -> torch.Tensor:
    """A quarter of the squares of a grid, drawn for each image, replaced by grey."""
    n, height, width = len(images), *images.shape[2:]
    rows, columns, _ = _grid(height, width)
    return images.masked_fill(_enlarged(torch.rand(n, 1, rows, columns) < 1 / TURNS, height, width), GREY)


def turns(height: int, width: int) -> torch.Tensor:
    """bool [4,1,height,width]: four masks like those of `masked` that hide every pixel once; always the same."""
    rows, columns, _ = _grid(height, width)
    order = torch.randperm(rows * columns, generator=torch.Generator().manual_seed(0)).view(1, rows, columns)
    return _enlarged(torch.stack([order % TURNS == turn for turn in range(TURNS)]), height, width)


def _grid(height: int, width: int) -> tuple[int, int, int]:
    """Rows, columns and side in pixels of the squares."""
    side = max(4, round(MASK_SIDE * min(height, width)))
    return math.ceil(height / side), math.ceil(width / side), side


def _enlarged(squares: torch.Tensor, height: int, width: int) -> torch.Tensor:
    side = _grid(height, width)[2]
    return squares.repeat_interleave(side, -2).repeat_interleave(side, -1)[..., :height, :width]
