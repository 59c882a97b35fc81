"""How large a defect is and whether it counts: regions of an anomaly map in millimetres, and a rule about them.

All areas are counted in pixels of the image (`regions.defect_regions`); a scale in mm per pixel turns them into mm2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

MAX_GRADES = 10
MAX_GRADE_NAME = 30


class MeasuredRegion(Protocol):
    """What the rule looks at: the area in pixels and the highest value, in the unit of the score."""

    @property
    def area_px(self) -> int: ...

    @property
    def peak(self) -> float: ...


@dataclass(frozen=True)
class Grade:
    """A severity: a region has it that is as large and as high as this says.

    Attributes:
        name: what people call it, such as minor or critical.
        min_area_mm2: smallest area in mm2; 0: any.
        min_peak: smallest peak, in the unit of the score; 0: any.
    """

    name: str
    min_area_mm2: float = 0.0
    min_peak: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "min_area_mm2": self.min_area_mm2, "min_peak": self.min_peak}


@dataclass(frozen=True)
class SizeRule:
    """Part of a threshold revision: which regions are ignored, and how severe the others are.

    Attributes:
        min_area_mm2: regions smaller than this are ignored; None: none is.
        grades: from the mildest to the most severe. A region has the last one whose conditions it meets, a part the
            most severe of its regions that are not ignored.
    """

    min_area_mm2: float | None = None
    grades: tuple[Grade, ...] = ()

    @property
    def is_empty(self) -> bool:
        return self.min_area_mm2 is None and not self.grades

    def smallest_px(self, mm_per_px: float) -> float | None:
        """The area in pixels, as a number with a fraction, below which a region is ignored; None: none is."""
        return None if self.min_area_mm2 is None else self.min_area_mm2 / mm_per_px**2

    def grade_of(self, region: MeasuredRegion, mm_per_px: float) -> str | None:
        """Of a region that is not ignored."""
        area = area_mm2(region.area_px, mm_per_px)
        names = [one.name for one in self.grades if area >= one.min_area_mm2 and region.peak >= one.min_peak]
        return names[-1] if names else None


@dataclass(frozen=True)
class RuleResult:
    """What a rule says of the regions of one image.

    Attributes:
        min_region_px: the area in pixels below which a region was ignored; None: the rule ignores none.
        ignored: how many of the regions were; None: the rule ignores none.
        severity: the most severe grade of the others; None where there is none.
    """

    min_region_px: float | None = None
    ignored: int | None = None
    severity: str | None = None


def apply_rule(rule: SizeRule, regions: Iterable[MeasuredRegion], mm_per_px: float) -> RuleResult:
    """What the rule says of all regions of an image, at a scale."""
    smallest = rule.smallest_px(mm_per_px)
    regions = list(regions)
    counted = [region for region in regions if smallest is None or region.area_px >= smallest]
    found = {rule.grade_of(region, mm_per_px) for region in counted}
    names = [one.name for one in rule.grades if one.name in found]
    return RuleResult(
        min_region_px=smallest,
        ignored=None if smallest is None else len(regions) - len(counted),
        severity=names[-1] if names else None,
    )


def all_ignored(largest_region_px: int | None, min_region_px: float | None) -> bool:
    """Whether every region of an image lies below the rule. Where none was found, nothing was ignored."""
    return bool(largest_region_px) and min_region_px is not None and (largest_region_px or 0) < min_region_px


def area_mm2(area_px: int, mm_per_px: float) -> float:
    return area_px * mm_per_px**2


def rule_of(min_area_mm2: float | None, grades: Sequence[dict[str, Any]] | None) -> SizeRule:
    """The rule that a threshold revision keeps."""
    return SizeRule(min_area_mm2, tuple(Grade(**grade) for grade in grades or ()))


def rule_problem(rule: SizeRule) -> str:
    """Why a rule cannot be kept, as a sentence; empty: it can."""
    if rule.min_area_mm2 is not None and not (math.isfinite(rule.min_area_mm2) and 0 < rule.min_area_mm2 <= 1e9):
        return "The smallest area is a number of mm2 above 0."
    if len(rule.grades) > MAX_GRADES:
        return f"There are at most {MAX_GRADES} grades."
    names = [grade.name for grade in rule.grades]
    if len(set(names)) < len(names):
        return "Two grades have the same name."
    for grade in rule.grades:
        if not 1 <= len(grade.name.strip()) <= MAX_GRADE_NAME or "\0" in grade.name:
            return f"A grade has a name of 1 to {MAX_GRADE_NAME} characters."
        if not all(math.isfinite(value) and 0 <= value <= 1e9 for value in (grade.min_area_mm2, grade.min_peak)):
            return f"Area and peak of the grade {grade.name} are numbers from 0 on."
        if grade.min_area_mm2 == 0 and grade.min_peak == 0 and grade is not rule.grades[0]:
            return f"The grade {grade.name} has neither area nor peak: every defect would have it."
    return ""
