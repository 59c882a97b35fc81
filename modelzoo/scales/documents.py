"""Reads: calibrations and size rules as the API shows them."""

from __future__ import annotations

from typing import Any

from modelzoo.documents import find_threshold, threshold_document
from modelzoo.models import ModelVersion
from modelzoo.scales.models import ScaleCalibration
from modelzoo.scales.selectors import newest_calibrations, stations_without_scale
from modelzoo.selectors import threshold_in_force


def calibration_document(row: ScaleCalibration, *, in_force: bool) -> dict[str, Any]:
    """Of a row of `calibrations`."""
    return {
        "id": row.pk,
        "category": row.category.name,
        "station": row.station,
        "revision": row.revision,
        "in_force": in_force,
        "method": row.method,
        "mm_per_px": row.mm_per_px,
        "uncertainty_percent": row.uncertainty_percent,
        "variation_percent": row.variation_percent,
        "is_uneven": row.is_uneven,
        "warnings": row.warnings,
        "picture": row.picture.sha256 if row.picture else None,
        "width": row.width,
        "height": row.height,
        "parameters": row.parameters,
        "reason": row.reason,
        "author": row.author.get_username() if row.author else None,
        "created_at": row.created_at.isoformat(),
    }


def ids_in_force(category_id: int) -> set[int]:
    return {row.pk for row in newest_calibrations(category_id) if row.mm_per_px is not None}


def size_rule_document(version: ModelVersion) -> dict[str, Any]:
    """The rule in force of a version, and at which stations nothing can be measured by it."""
    threshold = threshold_in_force(version.pk)
    rule = threshold.size_rule
    return {
        "model_version": version.pk,
        "min_area_mm2": rule.min_area_mm2,
        "grades": [grade.as_dict() for grade in rule.grades],
        "stations_without_calibration": stations_without_scale(version.category),
        "threshold": threshold_document(find_threshold(threshold.pk)),
    }
