"""Sizes of regions and the rule about them, against sums over labelled pixels in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from modelzoo.evaluation.region_sizes import (
    MAX_GRADES,
    Grade,
    RuleResult,
    SizeRule,
    all_ignored,
    apply_rule,
    area_mm2,
    rule_of,
    rule_problem,
)
from modelzoo.evaluation.regions import defect_regions

_AREAS = st.floats(0.01, 50)
_SCALES = st.floats(0.01, 3)


@st.composite
def _rules(draw: Any) -> SizeRule:
    smallest = draw(st.none() | _AREAS)
    conditions = draw(st.lists(st.tuples(st.just(0.0) | _AREAS, st.just(0.0) | st.floats(0.1, 6)), max_size=4))
    return SizeRule(smallest, tuple(Grade(f"g{index}", area, peak) for index, (area, peak) in enumerate(conditions)))


def brute_force(anomaly_map: np.ndarray, threshold: float, rule: SizeRule, scale: float) -> RuleResult:
    """The same from labels and sums of pixel areas in float64, grade by grade."""
    labels, count = ndimage.label(anomaly_map > threshold, structure=np.ones((3, 3)))
    areas = [float(np.sum(np.where(labels == label, 1.0, 0.0))) for label in range(1, count + 1)]
    peaks = [float(anomaly_map[labels == label].max()) for label in range(1, count + 1)]
    smallest = None if rule.min_area_mm2 is None else rule.min_area_mm2 / scale**2
    stays = [smallest is None or area >= smallest for area in areas]
    best = -1
    for area, peak, counts in zip(areas, peaks, stays, strict=True):
        reached = [
            place
            for place, grade in enumerate(rule.grades)
            if area * scale**2 >= grade.min_area_mm2 and peak >= grade.min_peak
        ]
        best = max([best, *reached[-1:]]) if counts else best
    return RuleResult(
        min_region_px=smallest,
        ignored=None if smallest is None else stays.count(False),
        severity=None if best < 0 else rule.grades[best].name,
    )


@given(seed=st.integers(0, 2**32 - 1), rule=_rules(), scale=_SCALES)
def test_the_rule_is_that_of_labelled_pixels(seed: int, rule: SizeRule, scale: float) -> None:
    rng = np.random.default_rng(seed)
    anomaly_map = ndimage.gaussian_filter(rng.normal(0, 4, tuple(rng.integers(4, 40, 2))), 1).astype(np.float32)
    threshold = float(rng.uniform(-1, 2))
    regions = defect_regions(anomaly_map, threshold)
    result = apply_rule(rule, regions, scale)
    assert result == brute_force(anomaly_map, threshold, rule, scale)
    largest = max((region.area_px for region in regions), default=0)
    # The largest region alone says whether all are ignored: a record keeps no more of those that it does not list.
    assert all_ignored(largest, result.min_region_px) == bool(regions and result.ignored == len(regions))


@pytest.mark.parametrize("seed", range(8))
def test_areas_and_extents_are_those_of_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    anomaly_map = ndimage.gaussian_filter(rng.normal(0, 4, (60, 80)), 2).astype(np.float32)
    labels, count = ndimage.label(anomaly_map > 0.5, structure=np.ones((3, 3)))
    scale = float(rng.uniform(0.02, 0.5))
    sizes = ndimage.sum_labels(np.full(labels.shape, scale * scale, np.float64), labels, range(1, count + 1))
    boxes = [
        ((rows.stop - rows.start) * scale, (columns.stop - columns.start) * scale)
        for rows, columns in ndimage.find_objects(labels)
    ]
    regions = defect_regions(anomaly_map, 0.5)
    assert sorted(area_mm2(region.area_px, scale) for region in regions) == pytest.approx(sorted(sizes), rel=1e-12)
    found = np.array(sorted((region.height * scale, region.width * scale) for region in regions))
    assert found == pytest.approx(np.array(sorted(boxes)), rel=1e-12)


def test_a_region_of_exactly_the_smallest_area_counts() -> None:
    [region] = defect_regions(np.pad(np.ones((2, 2), np.float32), 3), 0.5)
    assert apply_rule(SizeRule(1.0), [region], 0.5) == RuleResult(4.0, 0, None)
    assert apply_rule(SizeRule(1.0001), [region], 0.5).ignored == 1


@pytest.mark.parametrize(
    ("largest", "smallest", "expected"),
    [(None, 4.0, False), (0, 4.0, False), (3, None, False), (3, 4.0, True), (4, 4.0, False), (3, 3.5, True)],
)
def test_where_no_region_was_found_nothing_is_ignored(largest: int | None, smallest: Any, expected: bool) -> None:
    assert all_ignored(largest, smallest) is expected


def test_a_rule_is_kept_and_read_again() -> None:
    rule = SizeRule(0.5, (Grade("minor"), Grade("critical", 4.0, 30.0)))
    assert rule_of(rule.min_area_mm2, [grade.as_dict() for grade in rule.grades]) == rule
    assert rule_of(None, None).is_empty
    assert not rule_problem(rule)


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (SizeRule(0.0), "above 0"),
        (SizeRule(float("nan")), "above 0"),
        (SizeRule(None, (Grade("a"), Grade("a", 1))), "same name"),
        (SizeRule(None, (Grade(" "),)), "1 to 30 characters"),
        (SizeRule(None, (Grade("x" * 31),)), "1 to 30 characters"),
        (SizeRule(None, (Grade("a", -1),)), "from 0 on"),
        (SizeRule(None, (Grade("a", 1), Grade("b"))), "neither area nor peak"),
        (SizeRule(None, tuple(Grade(f"g{n}", n + 1) for n in range(MAX_GRADES + 1))), "at most 10"),
    ],
)
def test_a_rule_that_makes_no_sense_is_told(rule: SizeRule, problem: str) -> None:
    assert problem in rule_problem(rule)
