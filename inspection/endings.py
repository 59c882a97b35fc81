"""What apps above this one do when a single image of the line is asked for, recorded, or left without a record.

Each is called inside the transaction that writes it: what they write is there if, and only if, the record is. They do
not speak to anything outside, and raise nothing: an error of theirs would take the record with it.
"""

from __future__ import annotations

from collections.abc import Callable

from inspection.models import Inspection, InspectionRequest

RequestHook = Callable[[InspectionRequest], None]
RecordHook = Callable[[Inspection], None]
_requested: list[RequestHook] = []
_recorded: list[RecordHook] = []
_unjudged: list[RequestHook] = []


def register_requested(hook: RequestHook) -> None:
    """Called with a request that was just written down, before any worker has seen it."""
    _requested.append(hook)


def register_recorded(hook: RecordHook) -> None:
    """Called with a record that was just written; on PostgreSQL the end of the audit chain is held."""
    _recorded.append(hook)


def register_unjudged(hook: RequestHook) -> None:
    """Called with a request that just failed or expired, after its audit event: it has no record."""
    _unjudged.append(hook)


def is_live(request: InspectionRequest) -> bool:
    """Whether somebody at the line waits for it: neither an item of a batch nor a version that is tried by hand."""
    return request.batch_id is None and request.deployment_id is not None


def note_requested(request: InspectionRequest) -> None:
    if is_live(request):
        for hook in _requested:
            hook(request)


def note_recorded(inspection: Inspection) -> None:
    if is_live(inspection.request):
        for hook in _recorded:
            hook(inspection)


def note_unjudged(request: InspectionRequest) -> None:
    if is_live(request):
        for hook in _unjudged:
            hook(request)
