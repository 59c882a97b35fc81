"""Anomaly maps as they are kept: reduced without losing a place that crosses the threshold."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from modelzoo.anomaly_maps import decode_map, encode_map, reduce_map, render_heat


@pytest.mark.parametrize("shape", [(96, 96), (512, 384), (512, 512), (1, 7)])
def test_a_small_map_is_kept_as_it_is(shape: tuple[int, int]) -> None:
    anomaly_map = np.random.default_rng(0).random(shape, dtype=np.float32)
    assert np.array_equal(reduce_map(anomaly_map), anomaly_map)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((1024, 1024), (512, 512)), ((600, 800), (384, 512)), ((1500, 513), (512, 175)), ((4000, 3), (512, 1))],
)
def test_a_large_map_keeps_the_highest_value_of_each_block(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    anomaly_map = np.random.default_rng(1).random(shape, dtype=np.float32)
    reduced = reduce_map(anomaly_map)
    assert reduced.shape == expected
    # By walking over all pixels: each belongs to the block whose share of the side it lies in.
    brute = np.zeros(expected, np.float32)
    rows = [max(k for k in range(expected[0]) if k * shape[0] // expected[0] <= y) for y in range(shape[0])]
    columns = [max(k for k in range(expected[1]) if k * shape[1] // expected[1] <= x) for x in range(shape[1])]
    np.maximum.at(brute, np.ix_(rows, columns), anomaly_map)
    assert np.array_equal(reduced, brute)


def test_a_single_pixel_survives_reduction_and_file() -> None:
    anomaly_map = np.full((3000, 2000), 0.25, np.float32)
    anomaly_map[1234, 567] = 7.5
    data, maximum = encode_map(reduce_map(anomaly_map))
    restored = decode_map(data, maximum)
    assert maximum == restored.max() == 7.5
    row, column = np.unravel_index(restored.argmax(), restored.shape)
    assert (row, column) == (1234 * 512 // 3000, 567 * 341 // 2000)
    assert np.abs(np.delete(restored.ravel(), restored.argmax()) - 0.25).max() <= 7.5 / 65535


def test_the_map_never_hides_what_it_marks() -> None:
    values = np.full((64, 64), 0.2, np.float32)
    values[16:48, 16:48] = 9.0
    layer = cv2.imdecode(np.frombuffer(render_heat(values, threshold=1.0, width=64, height=64), np.uint8), -1)
    assert layer is not None
    height = layer.shape[0]
    inside, outside = layer[height // 2, height // 2], layer[2, 2]
    assert outside[3] == 0
    assert 0 < inside[3] < 128  # most of the image shows through, where the map is highest too
    assert layer[..., 3].max() == 255  # the outline does not
