"""The JSON shapes of records and requests."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from django.urls import reverse

from common.errors import UserError
from inspection.judging.pictures import stored_map
from inspection.models import Inspection, InspectionRequest, Review, Standing
from modelzoo.evaluation.region_sizes import area_mm2
from modelzoo.evaluation.regions import Region

MAP_FORMS = ("full", "url", "none")
# How pages and documents call a verdict, the model's and a person's alike.
VERDICT_WORDS = {
    Inspection.Outcome.GOOD.value: "GOOD",
    Inspection.Outcome.DEFECTIVE.value: "DEFECT",
    Inspection.Outcome.NOT_COMPARABLE.value: "NOT COMPARABLE",
    Review.WITHDRAWN: "WITHDRAWN",
}


def verdict_in_words(inspection: Inspection) -> str:
    """What stands of a record, as a title says it: a person's word with the name where it overrules the model's."""
    word = VERDICT_WORDS[inspection.standing_verdict]
    return f"{word}, {inspection.standing.reviewer.get_username()}" if inspection.differs else word


def request_document(request: InspectionRequest) -> dict[str, Any]:
    """What became of a request: whether its image has a record, may get one yet, or never will."""
    record = getattr(request, "inspection", None)
    ended = request.status in InspectionRequest.WITHOUT_RECORD
    has_image = request.asset is not None and request.asset.discarded_at is None
    repeatable = ended and has_image and request.batch_id is None
    return {
        "request_id": str(request.pk),
        "status": request.status,
        "final": request.status not in InspectionRequest.OPEN,
        "deadline": request.deadline.isoformat() if request.deadline else None,
        "inspection_id": str(record.pk) if record else None,
        "inspection_url": reverse("api-inspection", args=[record.pk]) if record else None,
        "code": request.error_code,
        "detail": request.error,
        "repeat_url": reverse("api-request-inspect", args=[request.pk]) if repeatable else None,
        "repeat_of": str(request.repeat_of_id) if request.repeat_of_id else None,
        "batch_id": str(request.batch_id) if request.batch_id else None,
        "filename": request.filename,
        "path": request.path,
        "image_sha256": request.asset.sha256 if request.asset else None,
        "station": request.station,
        "part_number": request.part_number,
        "lot": request.lot,
        "serial_number": request.serial_number,
        "created_at": request.created_at.isoformat(),
    }


def check_map_form(form: str, *, allowed: tuple[str, ...] = MAP_FORMS) -> str:
    if form not in allowed:
        raise UserError(f"anomaly_map must be one of {', '.join(allowed)}.", code="invalid")
    return form


def inspection_document(inspection: Inspection, *, anomaly_map: str = "url") -> dict[str, Any]:
    """One record as the API answers it: the original system's fields first, then what makes it a record.

    What is not comparable has no verdict, no score and no map: these are null, and `reason` and `explanation` are not.
    The numbers of a map that retention removed are null too.
    """
    document = listed_document(inspection) | {
        "regions": measured_regions(inspection),
        "ignored_outlines": inspection.ignored_outlines,
        "image_statistics": inspection.image_statistics,
        "timings": inspection.timings,
    }
    if anomaly_map == "none":
        document["anomaly_map"] = None
    elif anomaly_map == "full" and inspection.map is not None:
        document["anomaly_map"] = None if inspection.map.discarded_at else _numbers(inspection)
    return document


def measured_regions(inspection: Inspection) -> list[dict[str, Any]] | None:
    """The regions that a record lists, each with its size in mm where the station was calibrated, and what the size
    rule of the record's threshold says of it."""
    if inspection.regions is None:
        return None
    scale = inspection.calibration.scale if inspection.calibration else None
    return [region | _measured(inspection, region, scale) for region in inspection.regions]


def _measured(inspection: Inspection, region: dict[str, Any], scale: float | None) -> dict[str, Any]:
    if scale is None:
        return {"area_mm2": None, "width_mm": None, "height_mm": None, "is_ignored": False, "severity": None}
    is_ignored = inspection.min_region_px is not None and region["area_px"] < inspection.min_region_px
    found = Region(**region)
    return {
        "area_mm2": area_mm2(found.area_px, scale),
        "width_mm": found.width * scale,
        "height_mm": found.height * scale,
        "is_ignored": is_ignored,
        "severity": None if is_ignored else inspection.threshold.size_rule.grade_of(found, scale),
    }


def listed_document(inspection: Inspection) -> dict[str, Any]:
    """The same for lists: without regions, statistics and timings, which are long, and with the map's address."""
    version = inspection.model_version
    return {
        "reconstruction_error": inspection.score,
        "is_defective": inspection.is_defective,
        "threshold": inspection.threshold_value,
        "confidence": inspection.confidence,
        "anomaly_map": reverse("inspection-map", args=[inspection.pk]) if inspection.map is not None else None,
        "inspection_id": str(inspection.pk),
        "outcome": inspection.outcome,
        "reason": inspection.reason,
        "explanation": inspection.explanation,
        "warnings": [
            {"code": finding["code"], "detail": finding["explanation"]} for finding in inspection.input_findings or []
        ],
        "score": inspection.score,
        "p_value": inspection.p_value,
        "region_count": inspection.region_count,
        "largest_region_px": inspection.largest_region_px,
        "largest_region_mm2": inspection.largest_region_mm2,
        "mm_per_px": inspection.calibration.mm_per_px if inspection.calibration else None,
        "calibration": inspection.calibration_id,
        "min_region_mm2": inspection.threshold.min_region_mm2,
        "ignored_region_count": inspection.ignored_region_count,
        "severity": inspection.severity,
        "size_note": inspection.size_note,
        "algorithm": version.algorithm,
        "model_version": version.pk,
        "category": version.category.name,
        "threshold_revision": inspection.threshold.revision,
        "filename": inspection.filename,
        "path": inspection.request.path,
        "image_sha256": inspection.asset.sha256,
        "image_format": inspection.asset.image_format,
        "image_url": reverse("inspection-image", args=[inspection.pk]),
        "overlay_url": reverse("inspection-overlay", args=[inspection.pk]) if inspection.map is not None else None,
        "page_url": reverse("inspection", args=[inspection.pk]),
        "station": inspection.station,
        "part_number": inspection.part_number,
        "lot": inspection.lot,
        "serial_number": inspection.serial_number,
        "device": inspection.device,
        "worker": inspection.worker,
        "created_at": inspection.created_at.isoformat(),
        "review": standing_document(getattr(inspection, "standing", None)),
    }


def standing_document(standing: Standing | None) -> dict[str, Any] | None:
    """Where a record stands after what people said of it, None where nobody did.

    No query of its own where the reviewer was fetched along.
    """
    if standing is None:
        return None
    return {
        "verdict": standing.verdict,
        "reviewer": standing.reviewer.get_username(),
        "defect_type": standing.defect_type,
        "overruled": standing.overruled,
        "contested": standing.contested,
        "reviews": standing.reviews,
    }


def _numbers(inspection: Inspection) -> list[list[float]]:
    """The map as nested lists [H][W]. Seven digits of its maximum: it is kept to less, and the rest would be noise."""
    values = stored_map(inspection)
    digits = 6 - math.floor(math.log10(values.max())) if values.max() > 0 else 0
    return values.astype(np.float64).round(digits).tolist()
