"""Writes: how the picture of a request was taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from edge.cameras.models import FrameDetails
from inspection.models import InspectionRequest
from records.audit.services import Actor, audit


@dataclass(frozen=True)
class FrameFacts:
    """What is recorded of a frame: microseconds and decibels, None where the camera does not say."""

    connection_id: int
    connection: str  # its name
    camera: str
    number: int
    taken_at: datetime
    exposure_us: float | None
    gain_db: float | None
    lost_before: int


@transaction.atomic
def record_frame(*, request: InspectionRequest, facts: FrameFacts, actor: Actor) -> FrameDetails:
    """Write down how the picture of a new request was taken, in the transaction of the request."""
    details = FrameDetails.objects.create(
        request=request,
        connection_id=facts.connection_id,
        camera=facts.camera,
        number=facts.number,
        taken_at=facts.taken_at,
        exposure_us=facts.exposure_us,
        gain_db=facts.gain_db,
        lost_before=facts.lost_before,
    )
    audit(
        kind="frame.taken",
        subject=details,
        actor=actor,
        after={
            "request": str(request.pk),
            "connection": facts.connection,
            "camera": facts.camera,
            "number": facts.number,
            "taken_at": facts.taken_at.isoformat(),
            "exposure_us": facts.exposure_us,
            "gain_db": facts.gain_db,
            "lost_before": facts.lost_before,
        },
    )
    return details


def recording(facts: FrameFacts | None) -> Callable[[InspectionRequest], None] | None:
    """What `inspect_image` calls with a new request; None where the picture is of no camera."""
    if facts is None:
        return None

    def on_request(request: InspectionRequest) -> None:
        record_frame(request=request, facts=facts, actor=None)

    return on_request
