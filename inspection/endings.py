"""What apps above this one do when a part of the line is asked for, recorded, or left without a record.

A part is a single image, or what several views of it show: an image that is one view of a part says nothing of the
part, so none of its own endings are passed on; the record of the part is.

Each is called inside the transaction that writes it: what they write is there if, and only if, the record is. They do
not speak to anything outside, and raise nothing: an error of theirs would take the record with it.
"""

from __future__ import annotations

from collections.abc import Callable

from django.db.models import Q

from inspection.models import Inspection, InspectionRequest, PartInspection, PartRequest, PartRequestView

RequestHook = Callable[[InspectionRequest], None]
RecordHook = Callable[[Inspection], None]
GatheredHook = Callable[[PartRequest], None]
PartHook = Callable[[PartInspection], None]
_requested: list[RequestHook] = []
_recorded: list[RecordHook] = []
_unjudged: list[RequestHook] = []
_gathered: list[GatheredHook] = []
_part_recorded: list[PartHook] = []
_view_recorded: list[RecordHook] = []


def register_requested(hook: RequestHook) -> None:
    """Called with a request that was just written down, before any worker has seen it."""
    _requested.append(hook)


def register_recorded(hook: RecordHook) -> None:
    """Called with a record that was just written; on PostgreSQL the end of the audit chain is held."""
    _recorded.append(hook)


def register_unjudged(hook: RequestHook) -> None:
    """Called with a request that just failed or expired, after its audit event: it has no record."""
    _unjudged.append(hook)


def register_gathered(hook: GatheredHook) -> None:
    """Called with a part once an image of each of its views is there; again where a view came anew."""
    _gathered.append(hook)


def register_part_recorded(hook: PartHook) -> None:
    """Called with the record of a part that was just written; on PostgreSQL the end of the audit chain is held."""
    _part_recorded.append(hook)


def register_view_recorded(hook: RecordHook) -> None:
    """Called with the record of one view of a part: for who keeps records, and never tells the line."""
    _view_recorded.append(hook)


def is_live(request: InspectionRequest) -> bool:
    """Whether somebody at the line waits for its verdict: it is the whole part.

    Neither an item of a batch, nor a version that is tried by hand, nor a view of a part, also where that is judged
    again after the part's own record.
    """
    return _is_of_line(request) and not _is_view(request)


def _is_of_line(request: InspectionRequest) -> bool:
    return request.batch_id is None and request.deployment_id is not None


def _is_view(request: InspectionRequest) -> bool:
    if request.repeat_of_id is None:
        return hasattr(request, "part_view")  # often fetched with the request
    same_image = Q(request=request.pk) | Q(request=request.repeat_of_id) | Q(request__repeat_of=request.repeat_of_id)
    return PartRequestView.objects.filter(same_image).exists()


def note_requested(request: InspectionRequest) -> None:
    if is_live(request):
        for hook in _requested:
            hook(request)


def note_recorded(inspection: Inspection) -> None:
    if not _is_of_line(inspection.request):
        return
    for hook in _view_recorded if _is_view(inspection.request) else _recorded:
        hook(inspection)


def note_unjudged(request: InspectionRequest) -> None:
    if is_live(request):
        for hook in _unjudged:
            hook(request)


def note_gathered(part: PartRequest) -> None:
    for hook in _gathered:
        hook(part)


def note_part_recorded(part: PartInspection) -> None:
    for hook in _part_recorded:
        hook(part)
