"""Writes: what a trigger asks for is submitted through the service that everybody uses, and answered in all cases."""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from common.context import acting
from common.database import UNAVAILABLE, drop_broken_connection
from common.errors import UserError
from edge.cameras.services import FrameFacts, recording
from edge.connections.kinds import Figures, Target
from edge.deliveries.documents import NO_VERDICT
from inspection.batches.folders import FileUnreadable, read_in_roots
from inspection.judging.idempotency import own_key
from inspection.judging.services import PartContext, Submission, inspect_image
from inspection.models import Inspection, InspectionRequest
from records.assets.images import ImageRejected
from records.assets.services import report_refusal

log = logging.getLogger(__name__)
REPLY_SCHEMA = "reply/1"
SOURCE = "edge"
MAX_TRIGGER_ID = 100


class TriggerRejected(ImageRejected):
    """What came is no trigger: it names no image that could be judged, or two, or nothing by which it is known."""

    code = "invalid_trigger"
    status = ImageRejected.UNREADABLE


@dataclass(frozen=True)
class Trigger:
    """One image of one part that the line wants judged.

    `trigger_id` is the line's own name of it: the same one twice is one record. Either `data` or `path` (below one of
    EDGE_TRIGGER_ROOTS) is the image. `received`: monotonic seconds at which it came. `frame`: how a camera of this
    system took it.
    """

    trigger_id: str
    part: PartContext
    received: float
    category: str = ""
    filename: str = ""
    data: bytes | None = None
    path: str = ""
    frame: FrameFacts | None = None


def submit_trigger(trigger: Trigger, *, target: Target, figures: Figures) -> dict[str, Any]:
    """Have the image judged; the answer for the line, whatever came of it. Never raises a `UserError`."""
    figures.add("triggers")
    with acting(SOURCE):
        try:
            data = _image_of(trigger)
            record = inspect_image(
                data=data,
                submission=Submission(
                    filename=trigger.filename or Path(trigger.path).name or "trigger.png",
                    source=SOURCE,
                    actor=None,
                    part=trigger.part,
                    idempotency_key=_key(trigger, target),
                ),
                category=trigger.category or target.category,
                on_request=recording(trigger.frame),
            )
        except UserError as error:
            if isinstance(error, TriggerRejected):
                return refuse_trigger(trigger, error, figures=figures)
            figures.add("triggers_refused")
            return _reply(trigger, target, error=error)
        except UNAVAILABLE as error:
            log.warning("The database does not answer: %s", error)
            drop_broken_connection()
            figures.add("triggers_refused")
            unavailable = UserError(
                "The database does not answer. Send the trigger again.", code="database_unavailable"
            )
            return _reply(trigger, target, error=unavailable)
    if record.replayed:
        figures.add("triggers_repeated")
    return _reply(trigger, target, record=record)


def refuse_trigger(
    trigger: Trigger | None, refusal: ImageRejected, *, figures: Figures, size: int = 0
) -> dict[str, Any]:
    """Refuse what no image could be had from: audited like every refused upload, and answered."""
    figures.add("triggers_refused")
    with acting(SOURCE):
        try:
            filename = (trigger.filename or trigger.path) if trigger else ""
            report_refusal(filename=filename or "trigger", size=size, refusal=refusal, actor=None)
        except UNAVAILABLE as error:
            log.warning("A refused trigger could not be written down: %s", error)
            drop_broken_connection()
    return _reply(trigger, None, error=refusal)


def has_request(trigger: Trigger, *, target: Target) -> bool:
    """Whether a trigger came as far as a request, of which the outbox says what became of it."""
    return InspectionRequest.objects.filter(idempotency_key=own_key(_key(trigger, target), actor=None)).exists()


def _image_of(trigger: Trigger) -> bytes:
    if (trigger.data is None) == (not trigger.path):
        raise TriggerRejected("A trigger needs an image or a path, and not both. Nothing was judged.")
    if trigger.data is not None:
        return trigger.data
    if not settings.EDGE_TRIGGER_ROOTS:
        raise TriggerRejected("No folder may be read by triggers: EDGE_TRIGGER_ROOTS is empty. Nothing was judged.")
    try:
        return read_in_roots(
            Path(settings.EDGE_TRIGGER_ROOTS[0]),
            trigger.path,
            roots=settings.EDGE_TRIGGER_ROOTS,
            setting="EDGE_TRIGGER_ROOTS",
        )
    except FileUnreadable as error:
        raise TriggerRejected(error.detail) from error


def _key(trigger: Trigger, target: Target) -> str:
    """Ids of triggers are a station's own: two stations may count alike. Any text is a key of the same length."""
    text = f"{target.connection_id}\n{trigger.part.station}\n{trigger.trigger_id}"
    return f"trigger-{hashlib.sha256(text.encode()).hexdigest()}"


def _reply(
    trigger: Trigger | None,
    target: Target | None,
    *,
    record: Inspection | None = None,
    error: UserError | None = None,
) -> dict[str, Any]:
    """What the line is told. The verdict of a record that comes after the line's time is none."""
    line_time = target.line_time_ms if target else None
    is_late = trigger is not None and line_time is not None and time.monotonic() - trigger.received > line_time / 1000
    verdict = record.outcome if record is not None and not is_late else NO_VERDICT
    return {
        "schema": REPLY_SCHEMA,
        "trigger_id": trigger.trigger_id if trigger else None,
        "station": trigger.part.station if trigger else None,
        "accepted": record is not None,
        "repeated": record is not None and record.replayed,
        "late": is_late,
        "verdict": verdict,
        "outcome": record.outcome if record is not None else None,
        "inspection_id": str(record.pk) if record is not None else None,
        "code": error.code if error else None,
        "detail": error.detail if error else None,
    }
