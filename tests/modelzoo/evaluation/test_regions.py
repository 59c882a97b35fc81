"""Defect regions against a flood fill written down as plainly as it can be."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from modelzoo.evaluation.regions import Region, defect_regions, outlines


def flood(anomaly_map: np.ndarray, threshold: float) -> list[Region]:
    """The same by walking from pixel to pixel."""
    left = {(int(y), int(x)) for y, x in np.ndindex(anomaly_map.shape) if float(anomaly_map[y, x]) > threshold}
    found = []
    while left:
        edge, members = [min(left)], set()
        while edge:
            y, x = edge.pop()
            if (y, x) in left:
                left.remove((y, x))
                members.add((y, x))
                edge += [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        ys, xs = [y for y, _ in members], [x for _, x in members]
        peak = max(float(anomaly_map[place]) for place in members)
        peak_y, peak_x = min(place for place in members if float(anomaly_map[place]) == peak)
        box = (min(xs), min(ys), max(xs) - min(xs) + 1, max(ys) - min(ys) + 1)
        found.append(Region(*box, len(members), peak, peak_x, peak_y))
    return sorted(found, key=lambda region: (-region.peak, region.peak_y, region.peak_x))


@pytest.mark.parametrize("seed", range(30))
def test_regions_are_those_of_a_flood_fill(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 24, 2))
    # Few levels on purpose: peaks that are shared within a region and between regions.
    anomaly_map = (rng.integers(0, 6, shape) / 5).astype(np.float32)
    threshold = float(rng.choice([0.0, 0.3, 0.6, 0.8, 1.0]))
    assert defect_regions(anomaly_map, threshold) == flood(anomaly_map, threshold)


def test_pixels_that_touch_at_a_corner_are_one_region() -> None:
    anomaly_map = np.zeros((5, 7), np.float32)
    anomaly_map[1, 2], anomaly_map[2, 3], anomaly_map[4, 6] = 2, 3, 5
    assert defect_regions(anomaly_map, 1.0) == [Region(6, 4, 1, 1, 1, 5.0, 6, 4), Region(2, 1, 2, 2, 2, 3.0, 3, 2)]


@pytest.mark.parametrize("value", [0.1, 0.3, 1 / 3, 12.4])
def test_a_region_is_there_exactly_when_the_part_is_defective(value: float) -> None:
    """The score is the map's maximum: what the score says at this threshold, the map says too, to the last bit."""
    anomaly_map = np.full((2, 2), value, np.float32)
    score = float(anomaly_map.max())
    for threshold in (value, score, float(np.nextafter(score, 0))):
        assert bool(defect_regions(anomaly_map, threshold)) == (score > threshold)


def test_a_stack_of_maps_is_refused() -> None:
    with pytest.raises(ValueError, match="two dimensions"):
        defect_regions(np.zeros((1, 2, 2), np.float32), 0.5)


def test_outlines_are_polygons_with_holes():
    mask = np.zeros((40, 60), dtype=bool)
    mask[5:30, 10:50] = True
    mask[10:20, 20:30] = False
    polygons = outlines(mask)
    assert len(polygons) == 2
    drawn = cv2.fillPoly(np.zeros(mask.shape, np.uint8), [np.array(polygon) for polygon in polygons], 1)
    assert (drawn.astype(bool) != mask).mean() < 0.03
    assert outlines(np.zeros((5, 5), dtype=bool)) == []
