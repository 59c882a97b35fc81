"""Reads: whether standings, requests and parts are still what follows from reviews and records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q

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

_CHUNK = 500
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
