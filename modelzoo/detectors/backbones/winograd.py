"""3x3 convolutions with fewer multiplications: Winograd's minimal filtering F(4x4, 3x3).

Lavin & Gray 2016, "Fast Algorithms for Convolutional Neural Networks". Each tile of 4x4 outputs takes 36 products for
each pair of channels instead of 144. The transforms into and out of the domain of these products cost a part of that,
so that on a processor a whole ResNet-18 gains about a quarter. The result differs from the direct convolution by
rounding: some 1e-6 of the largest value.

Shapes: B images, H x W pixels, C input channels, K output channels, T_H x T_W tiles.
"""

from __future__ import annotations

import math
import threading

import torch
from torch import nn

TILE, WINDOW = 4, 6  # outputs of a tile, and the inputs that they depend on, along each axis
MIN_TILES = 16
# The matrices of F(4, 3), section 4.2 of the paper, for the points 0, 1, -1, 2, -2 and infinity.
_INPUT = torch.tensor(
    [
        [4.0, 0.0, -5.0, 0.0, 1.0, 0.0],
        [0.0, -4.0, -4.0, 1.0, 1.0, 0.0],
        [0.0, 4.0, -4.0, -1.0, 1.0, 0.0],
        [0.0, -2.0, -1.0, 2.0, 1.0, 0.0],
        [0.0, 2.0, -1.0, -2.0, 1.0, 0.0],
        [0.0, 4.0, 0.0, -5.0, 0.0, 1.0],
    ]
)
_FILTER = torch.tensor(
    [
        [1 / 4, 0.0, 0.0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0.0, 0.0, 1.0],
    ],
    dtype=torch.float64,
)
_OUTPUT = torch.tensor(
    [
        [1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
        [0.0, 1.0, -1.0, 2.0, -2.0, 0.0],
        [0.0, 1.0, 1.0, 4.0, 4.0, 0.0],
        [0.0, 1.0, -1.0, 8.0, -8.0, 1.0],
    ]
)
# The product which reaches all outputs of a tile with weight 1: a bias added to it is added to all of them.
_BIASED = 1 * WINDOW + 1


def pays_off(convolution: nn.Conv2d, *, height: int, width: int) -> bool:
    """Whether it can be computed so, and images of this size have enough tiles: with fewer, reading the weights, four
    times as many numbers, takes longer than the multiplications that are saved."""
    shape = (convolution.kernel_size, convolution.stride, convolution.padding, convolution.dilation)
    is_possible = shape == ((3, 3), (1, 1), (1, 1), (1, 1)) and convolution.groups == 1
    return is_possible and -(-height // TILE) * -(-width // TILE) >= MIN_TILES


class Scratch(threading.local):
    """Memory that the steps of all convolutions of a network write to in turn: it stays in the processor's cache."""

    def __init__(self) -> None:
        self._memory: dict[str, torch.Tensor] = {}
        self._padded: dict[tuple[int, ...], torch.Tensor] = {}

    def get(self, name: str, *shape: int) -> torch.Tensor:
        """float32 of this shape, its values not set; what it held before is lost."""
        size = math.prod(shape)
        memory = self._memory.get(name)
        if memory is None or len(memory) < size:
            with torch.inference_mode(False):  # else it could be written to in that mode only
                memory = self._memory[name] = torch.empty(size)
        return memory[:size].view(shape)

    def padded(self, x: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """x [B,C,H,W] as [B,height,width,C], below a row and right of a column of zeros, with zeros around it."""
        n, channels, rows, columns = x.shape
        shape = (n, height, width, channels, rows, columns)
        memory = self._padded.get(shape)
        if memory is None:
            # Only the inside is ever written to.
            with torch.inference_mode(False):
                memory = self._padded[shape] = torch.zeros(shape[:4])
        memory[:, 1 : rows + 1, 1 : columns + 1] = x.permute(0, 2, 3, 1)
        return memory


class WinogradConvolution:
    """A 3x3 convolution of stride 1 with bias that keeps the size (`pays_off`), in float32 on the CPU.

    Args:
        convolution: it is not changed.
        scratch: shared by the convolutions of a network.
    """

    def __init__(self, convolution: nn.Conv2d, scratch: Scratch) -> None:
        assert convolution.bias is not None, "folding a BatchNorm leaves a bias"
        weight = convolution.weight.detach().double()
        products = torch.einsum("ij,kl,ocjl->ikco", _FILTER, _FILTER, weight)  # [6,6,C,K]
        self._weight = products.flatten(0, 1).float().contiguous()
        self._bias = convolution.bias.detach()
        self._scratch = scratch

    def __call__(self, x: torch.Tensor, *, relu: bool = False) -> torch.Tensor:
        """float32 [B,K,H,W], channels last, of [B,C,H,W]."""
        tiles = self._tiles(x)
        n, rows, _, columns, _, channels = tiles.shape
        result = torch.empty(n, rows * TILE, columns * TILE, channels)
        in_tiles = result.view(tiles.shape)
        if relu:
            torch.clamp_min(tiles, 0, out=in_tiles)
        else:
            in_tiles.copy_(tiles)
        return _cut(result, x).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)

    def add_to(self, target: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """ReLU of `target` [B,K,H,W], channels last, plus the convolution of x, written over `target`."""
        tiles = self._tiles(x)
        n, rows, _, columns, _, channels = tiles.shape
        pixels = target.permute(0, 2, 3, 1)
        if pixels.shape[1:3] == (rows * TILE, columns * TILE) and pixels.is_contiguous():
            pixels.view(tiles.shape).add_(tiles)
        else:
            pixels.add_(_cut(tiles.reshape(n, rows * TILE, columns * TILE, channels), x))
        return target.relu_()

    def _tiles(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs with bias, float32 [B,T_H,4,T_W,4,K] in the scratch memory."""
        scratch = self._scratch
        n, channels, height, width = x.shape
        outputs = self._weight.shape[2]
        rows, columns = -(-height // TILE), -(-width // TILE)
        count = n * rows * columns
        padded = scratch.padded(x, rows * TILE + 2, columns * TILE + 2)
        of_image, of_row, of_pixel, _ = padded.stride()
        windows = scratch.get("windows", WINDOW, WINDOW, n, rows, columns, channels)
        strides = (of_row, of_pixel, of_image, TILE * of_row, TILE * of_pixel, 1)
        windows.copy_(padded.as_strided(windows.shape, strides))
        # Each transform works along one axis, then along the other.
        half = scratch.get("half", WINDOW, WINDOW, count * channels)
        torch.mm(_INPUT, windows.view(WINDOW, -1), out=half.view(WINDOW, -1))
        domain = windows.view(half.shape)
        torch.bmm(_INPUT.expand(WINDOW, -1, -1), half, out=domain)
        products = scratch.get("products", WINDOW * WINDOW, count, outputs)
        torch.bmm(domain.view(-1, count, channels), self._weight, out=products)
        products[_BIASED].add_(self._bias)
        half = scratch.get("half", TILE, WINDOW, count * outputs)
        torch.mm(_OUTPUT, products.view(WINDOW, -1), out=half.view(TILE, -1))
        tiles = scratch.get("tiles", TILE, TILE, count * outputs)
        torch.bmm(_OUTPUT.expand(TILE, -1, -1), half, out=tiles)
        return tiles.view(TILE, TILE, n, rows, columns, outputs).permute(2, 3, 0, 4, 1, 5)


def _cut(pixels: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """[B,h,w,K] without what lies beyond the height and width of x [B,C,H,W]."""
    return pixels[:, : x.shape[2], : x.shape[3]]
