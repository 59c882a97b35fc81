"""Reads: whether standings, requests and parts are still what follows from reviews and records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q

from inspection.forwarded import NODE_SOURCE
from inspection.models import (
    Inspection,
    InspectionRequest,
    LayoutView,
    PartInspection,
    PartInspectionView,
    PartRequest,
    PartRequestView,
    Review,
    Standing,
)
from inspection.parts.completion import SHARED
from inspection.parts.selectors import with_views
from inspection.parts.verdict import JUDGED, decide_part
from inspection.reviews.services import effective_reviews
from modelzoo.evaluation.region_sizes import RuleResult, apply_rule
from modelzoo.evaluation.regions import Region
from modelzoo.models import ScaleCalibration

_CHUNK = 500
# A scale that was set while an image was being written is not yet that of the image.
_AT_ONCE = timedelta(seconds=60)
# What a record takes over from the request that it answers.
_SAME = ("asset", "filename", "source", "station", "part_number", "lot", "serial_number", "operator")


def check_standings() -> Iterator[tuple[int, list[str]]]:
    """Each standing, and each record with reviews, so that one that was taken away is missed."""
    reviewed = Review.objects.order_by("inspection_id").values_list("inspection_id", flat=True).distinct()
    for ids in _in_chunks(reviewed.iterator(chunk_size=_CHUNK)):
        expected = {
            pk: _standing_of(list(thread)) for pk, thread in groupby(_threads(ids), lambda one: one.inspection_id)
        }
        rows = Standing.objects.filter(pk__in=ids)
        found: dict[UUID, dict[str, Any] | None] = {row.pk: _document(row) for row in rows}
        differing = [pk for pk in ids if found.get(pk) != expected[pk]]
        if differing:  # reviewed meanwhile
            again = _threads(differing)
            expected |= {pk: _standing_of(list(thread)) for pk, thread in groupby(again, lambda one: one.inspection_id)}
            found |= dict.fromkeys(differing)
            found |= {row.pk: _document(row) for row in Standing.objects.filter(pk__in=differing)}
            differing = [pk for pk in differing if found.get(pk) != expected[pk]]
        yield len(found), [f"the standing of record {pk} is not what its reviews say" for pk in differing[:1]]
    without = Standing.objects.filter(~Exists(Review.objects.filter(inspection=OuterRef("pk")))).first()
    yield 0, [f"record {without.pk} has a standing and no review"] if without else []


def _threads(ids: Sequence[UUID]) -> Iterable[Review]:
    reviews = Review.objects.filter(inspection__in=ids).select_related("inspection")
    return reviews.order_by("inspection_id", "number")


def _standing_of(reviews: list[Review]) -> dict[str, Any] | None:
    effective = effective_reviews(reviews)
    if not effective:
        return None
    last = effective[-1]
    return {
        "last_review": last.pk,
        "verdict": last.verdict,
        "defect_type": last.defect_type,
        "reviewer": last.reviewer_id,
        "overruled": last.agrees is False,
        "contested": len({one.verdict for one in effective}) > 1,
        "reviews": reviews[-1].number,
        "inspected_at": last.inspection.created_at,
    }


def _document(row: Standing) -> dict[str, Any]:
    return {
        "last_review": row.last_review_id,
        "verdict": row.verdict,
        "defect_type": row.defect_type,
        "reviewer": row.reviewer_id,
        "overruled": row.overruled,
        "contested": row.contested,
        "reviews": row.reviews,
        "inspected_at": row.inspected_at,
    }


def check_requests() -> Iterator[tuple[int, list[str]]]:
    """Each request that is done has its record, and says the same as it."""
    same = Q(request__status=InspectionRequest.Status.DONE)
    for name in _SAME:
        same &= Q(**{f"request__{name}": F(name)}) | Q(**{f"request__{name}__isnull": True, f"{name}__isnull": True})
    differing = Inspection.objects.exclude(same).order_by().values_list("pk", flat=True).first()
    done = InspectionRequest.objects.filter(status=InspectionRequest.Status.DONE)
    lost = done.filter(inspection__isnull=True).order_by().values_list("pk", flat=True).first()
    yield (
        done.count(),
        [
            *([f"the request of record {differing} says something else than the record"] if differing else []),
            *([f"request {lost} is done and has no record"] if lost else []),
        ],
    )


def check_sizes() -> Iterator[tuple[int, list[str]]]:
    """Each record that a scale or a size rule had a say in: verdict, ignored regions and severity follow from what it
    keeps, and the scale is the one that was in force at its station.

    That a verdict follows from the columns of its own row is a constraint of the database.
    """
    ruled = Q(threshold__min_region_mm2__isnull=False) | Q(threshold__severity_grades__isnull=False)
    ids = Inspection.objects.filter(ruled | Q(calibration__isnull=False)).order_by("pk").values_list("pk", flat=True)
    for chunk in _in_chunks(ids.iterator(chunk_size=_CHUNK)):
        records = Inspection.objects.filter(pk__in=chunk).select_related("threshold", "calibration", "asset")
        faults = [(record.pk, fault) for record in records if (fault := size_fault(record))]
        yield len(chunk), [f"record {pk} {fault}" for pk, fault in faults[:1]]


def size_fault(record: Inspection) -> str:
    """What of a record does not follow from its scale and its threshold's rule; empty: all does.

    An edge node has its own time: which scale was in force there when is said by its own audit chain.
    """
    rule, scale = record.threshold.size_rule, record.calibration
    if scale is None:
        expected = RuleResult()
    else:
        if not scale.is_valid_for(record.asset.width, record.asset.height):
            return "was measured with a scale of pictures of another size"
        later = ScaleCalibration.objects.filter(
            category=scale.category_id,
            station=scale.station,
            revision__gt=scale.revision,
            created_at__lte=record.created_at - _AT_ONCE,
        )
        is_judged_here = record.source != NODE_SOURCE
        if is_judged_here and (scale.created_at > record.created_at or later.exists()):
            return "was measured with a scale that was not in force"
        regions = [Region(**region) for region in record.regions or []]
        expected = apply_rule(rule, regions, scale.scale)
        if record.region_count != len(regions):  # more than a record lists: the verdict rests on the largest of all
            expected = replace(expected, ignored=record.ignored_region_count, severity=record.severity)
    if record.min_region_px != expected.min_region_px or record.ignored_region_count != expected.ignored:
        return "does not say what the size rule of its threshold gives"
    if record.severity != expected.severity:
        return f"has the severity {record.severity}, and its regions give {expected.severity}"
    if record.score is None:
        return ""
    outcome = Inspection.Outcome.of(
        record.score,
        record.threshold.value,
        largest_region_px=record.largest_region_px,
        min_region_px=expected.min_region_px,
    )
    return "" if record.outcome == outcome else f"is {record.outcome}, and its score and regions give {outcome}"


# ---------------------------------------------------------------- parts
def check_part_verdicts() -> Iterator[tuple[int, list[str]]]:
    """The verdict of each part, decided anew from the records of its views; and that none of its views is left out."""
    for ids in _in_chunks(PartInspection.objects.order_by("pk").values_list("pk", flat=True).iterator(_CHUNK)):
        rows = PartInspection.objects.filter(pk__in=ids).select_related("request", "layout", "operator")
        views = LayoutView.objects.filter(layout__parts__in=ids).values_list("layout", "pk").distinct()
        expected: dict[int, set[int]] = {}
        for layout, view in views:
            expected.setdefault(layout, set()).add(view)
        faults, compared = [], 0
        for part in with_views(rows):
            assert part.record is not None
            compared += len(part.views)
            states = [view.inspection.outcome if view.inspection else str(view.state) for view in part.views]
            if {view.view.pk for view in part.views} != expected.get(part.record.layout_id, set()):
                faults.append(f"the record of part {part.record.pk} has not the views of its layout")
            elif any(view.state in JUDGED and view.inspection is None for view in part.views):
                faults.append(f"a view of part {part.record.pk} has a verdict and no record")
            elif part.record.outcome != decide_part(states):
                faults.append(f"the verdict of part {part.record.pk} is not what the records of its views say")
        yield compared, faults[:1]


def check_part_requests() -> Iterator[tuple[int, list[str]]]:
    """Each part that is closed has its record, and says the same as it; none that is open has one."""
    same = Q(request__status=PartRequest.Status.CLOSED)
    for name in SHARED:
        same &= Q(**{f"request__{name}": F(name)}) | Q(**{f"request__{name}__isnull": True, f"{name}__isnull": True})
    differing = PartInspection.objects.exclude(same).order_by().values_list("pk", flat=True).first()
    closed = PartRequest.objects.filter(status=PartRequest.Status.CLOSED)
    lost = closed.filter(inspection__isnull=True).order_by().values_list("pk", flat=True).first()
    yield (
        closed.count(),
        [
            *([f"what was gathered of part {differing} says something else than its record"] if differing else []),
            *([f"part {lost} is closed and has no record"] if lost else []),
        ],
    )


def check_part_views() -> Iterator[tuple[int, list[str]]]:
    """What came for each view of a closed part is what its record says."""
    rows = PartRequestView.objects.filter(part__status=PartRequest.Status.CLOSED)
    recorded = PartInspectionView.objects.filter(part=OuterRef("part"), view=OuterRef("view"))
    judged = rows.filter(request__status=InspectionRequest.Status.DONE)
    other = judged.filter(~Exists(recorded.filter(inspection__request=OuterRef("request")))).first()
    refused = rows.filter(request__isnull=True)
    unlike = refused.filter(~Exists(recorded.filter(state="refused", reason=OuterRef("refusal_code")))).first()
    fault = other or unlike
    yield rows.count(), [f"view {fault.pk} of part {fault.part_id} is not what its record says"] if fault else []


def _in_chunks(ids: Iterable[UUID]) -> Iterator[list[UUID]]:
    chunk: list[UUID] = []
    for pk in ids:
        chunk.append(pk)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
