"""16-bit values and windows, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from common.pixels.sixteen_bit import clipped_share, histogram, percentile_window, to_eight_bit, to_sixteen_bit


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 65534), st.integers(1, 65535), st.integers(0, 2**32 - 1))
def test_a_window_maps_values_as_exact_arithmetic_does(low: int, width: int, seed: int) -> None:
    high = min(65535, low + width)
    values = np.random.default_rng(seed).integers(0, 65536, (16, 16)).astype(np.uint16)
    values[0, :3] = low, high, (low + high) // 2
    exact = (values.astype(np.float64).clip(low, high) - low) * 255 / (high - low)
    mapped = to_eight_bit(Image.fromarray(values), (low, high))
    assert mapped.mode == "L"
    np.testing.assert_array_equal(np.asarray(mapped), np.floor(exact + 0.5).astype(np.uint8))


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 65535), st.integers(0, 65535), st.integers(0, 2**32 - 1))
def test_histogram_and_clipped_share_count_pixels(first: int, second: int, seed: int) -> None:
    low, high = sorted((first, second))
    values = np.random.default_rng(seed).integers(0, 65536, (20, 20)).astype(np.uint16)
    counts = histogram(Image.fromarray(values))
    assert (counts.sum(), len(counts)) == (400, 65536)
    assert clipped_share(counts, (low, high)) == pytest.approx(((values < low) | (values > high)).mean())


def test_percentiles_pass_over_hot_pixels() -> None:
    values = np.random.default_rng(0).integers(800, 1201, (200, 200)).astype(np.uint16)
    values[0, :10] = 65535
    low, high = percentile_window(histogram(Image.fromarray(values)))
    assert 800 <= low <= 802
    assert 1198 <= high <= 1200


@pytest.mark.parametrize("value", [0, 7, 65535])
def test_a_flat_image_has_a_window_too(value: int) -> None:
    low, high = percentile_window(histogram(Image.fromarray(np.full((20, 20), value, np.uint16))))
    assert 0 <= low < high <= 65535


@pytest.mark.parametrize("window", [(0, 65535), (800, 1200), (0, 255)])
def test_eight_bits_in_a_window_and_back_are_the_same(window: tuple[int, int]) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    there = to_sixteen_bit(Image.fromarray(levels), window)
    np.testing.assert_array_equal(np.asarray(to_eight_bit(there, window)), levels)
