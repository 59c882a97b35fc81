"""Reads: parts with what is known of their views."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from common.errors import NotFound
from inspection.models import Inspection, PartInspection, PartInspectionView, PartRequest
from inspection.parts.completion import ViewResult, view_results
from inspection.parts.verdict import ViewState, decide_part

_OF_A_RECORD = ("operator", "layout", "request")
_OF_A_VIEW = ("model_version__category", "asset", "map", "threshold", "calibration", "request", "standing__reviewer")


@dataclass(frozen=True)
class Part:
    """A part, its record once it is closed, and its views in the order of the layout."""

    request: PartRequest
    record: PartInspection | None
    views: Sequence[ViewResult]

    @property
    def missing(self) -> list[str]:
        """Names of the views that have not come, or are not judged yet."""
        return [one.view.name for one in self.views if one.state in (None, ViewState.MISSING)]

    @property
    def standing_outcome(self) -> Inspection.Outcome | None:
        """The same rule over what stands of the views after reviews; None while the part is open."""
        return None if self.record is None else decide_part(str(view.standing_state) for view in self.views)

    @property
    def differs(self) -> bool:
        """Whether what people said of its views makes another verdict of the part than the models'."""
        return self.record is not None and self.standing_outcome != self.record.outcome


def records(
    *,
    outcome: str = "",
    layout: str = "",
    part_id: str = "",
    serial_number: str = "",
    lot: str = "",
    station: str = "",
) -> QuerySet[PartInspection]:
    """Records of parts, newest first; an empty value asks for nothing."""
    conditions = {
        "outcome": outcome,
        "layout_name": layout,
        "part_id": part_id,
        "serial_number": serial_number,
        "lot": lot,
        "station": station,
    }
    rows = PartInspection.objects.select_related(*_OF_A_RECORD)
    return rows.filter(**{name: value for name, value in conditions.items() if value}).order_by(
        "-created_at", "-request"
    )


def open_parts() -> QuerySet[PartRequest]:
    """Those whose views are gathered, newest first."""
    rows = PartRequest.objects.filter(status=PartRequest.Status.OPEN).select_related("operator", "layout")
    return rows.order_by("-opened_at", "-id")


def find_part(part_request_id: uuid.UUID) -> Part:
    """Raises `NotFound`."""
    rows = PartRequest.objects.select_related("operator", "layout", "inspection__layout", "inspection__operator")
    row = rows.filter(pk=part_request_id).first()
    if row is None:
        raise NotFound(f"There is no part {part_request_id}.", code="part_not_found")
    record: PartInspection | None = getattr(row, "inspection", None)
    return with_views([record])[0] if record is not None else open_part(row)


def open_part(row: PartRequest) -> Part:
    return Part(row, None, view_results(row))


def with_views(rows: Iterable[PartInspection]) -> list[Part]:
    """Of records with their request, layout and operator; two queries however many they are."""
    rows = list(rows)
    views: dict[uuid.UUID, list[ViewResult]] = {row.pk: [] for row in rows}
    found = PartInspectionView.objects.filter(part__in=list(views)).select_related(
        "view__category", *(f"inspection__{name}" for name in _OF_A_VIEW)
    )
    for view in found.order_by("view__position"):
        views[view.part_id].append(
            ViewResult(view.view, ViewState(view.state), view.inspection, view.reason, view.explanation)
        )
    return [Part(row.request, row, views[row.pk]) for row in rows]
