"""Winograd's convolutions against the direct ones in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from modelzoo.detectors.backbones.winograd import MIN_TILES, TILE, Scratch, WinogradConvolution, pays_off


def module(inputs: int, outputs: int, **options: object) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, **options).requires_grad_(False)  # type: ignore[arg-type]


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return x.contiguous(memory_format=torch.channels_last)


def direct(convolution: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    bias = convolution.bias
    assert bias is not None
    return functional.conv2d(x.double(), convolution.weight.double(), bias.double(), padding=1)


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(1, 13),
    width=st.integers(1, 13),
    inputs=st.integers(1, 9),
    outputs=st.integers(1, 9),
    n=st.integers(1, 3),
    relu=st.booleans(),
)
def test_any_size_is_the_direct_convolution(
    height: int, width: int, inputs: int, outputs: int, n: int, relu: bool
) -> None:
    convolution, x = module(inputs, outputs), images(n, inputs, height, width)
    expected = direct(convolution, x)
    result = WinogradConvolution(convolution, Scratch())(x, relu=relu)
    assert result.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(result.double(), expected.relu() if relu else expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(8, 12), (7, 10)])
def test_adding_to_a_shortcut_writes_over_it(size: tuple[int, int]) -> None:
    convolution, x, target = module(5, 6), images(2, 5, *size), images(2, 6, *size, seed=1)
    expected = (target.double() + direct(convolution, x)).relu()
    result = WinogradConvolution(convolution, Scratch()).add_to(target, x)
    assert result.data_ptr() == target.data_ptr()
    torch.testing.assert_close(result.double(), expected, rtol=1e-4, atol=1e-4)


def test_convolutions_that_share_their_memory_do_not_disturb_each_other() -> None:
    """Other sizes, more channels and more images between: the zeros around an image stay zeros."""
    scratch = Scratch()
    modules = [module(4, 8), module(8, 4), module(4, 4)]
    convolutions = [WinogradConvolution(one, scratch) for one in modules]
    for n, height, width in [(1, 8, 8), (3, 16, 4), (1, 8, 8), (2, 5, 9), (1, 8, 7)]:
        x = images(n, 4, height, width)
        with torch.inference_mode():
            first = convolutions[0](x)
            again = convolutions[1](first)
            result = convolutions[2](again)
        expected = direct(modules[2], direct(modules[1], direct(modules[0], x)))
        torch.testing.assert_close(result.double(), expected, rtol=1e-3, atol=1e-3)


def test_memory_of_one_mode_serves_the_other() -> None:
    convolution = WinogradConvolution(module(3, 3), Scratch())
    with torch.inference_mode():
        first = convolution(images(1, 3, 8, 8)).clone()
    torch.testing.assert_close(convolution(images(1, 3, 8, 8)), first, rtol=0, atol=0)


def test_it_pays_off_for_enough_tiles_of_a_plain_convolution_only() -> None:
    side = TILE * int(MIN_TILES**0.5)
    assert pays_off(module(3, 3), height=side, width=side)
    assert not pays_off(module(3, 3), height=side, width=side - TILE)
    assert not pays_off(module(3, 3, stride=2), height=side, width=side)
    assert not pays_off(module(4, 4, groups=2), height=side, width=side)
    assert not pays_off(nn.Conv2d(3, 3, 3, padding=2, dilation=2), height=side, width=side)
    assert not pays_off(nn.Conv2d(3, 3, 1), height=side, width=side)
