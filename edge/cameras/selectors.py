"""Reads: how pictures were taken, and what the last verdict of a camera is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from edge.cameras.models import FrameDetails
from edge.connections.models import Connection
from inspection.history.filters import Filters
from inspection.history.selectors import matching_keys, records_of
from inspection.models import Inspection, InspectionRequest

CURRENT_SECONDS = 10.0  # after that a verdict is about a part that has gone
NONE, PENDING, NO_VERDICT = "none", "pending", "no_verdict"
_LOOKED_BACK = 4  # frames, for the verdict before one that is pending


def last_frame_at(connection_id: int) -> datetime | None:
    """When the newest frame of a camera that was judged, or is being judged, was taken."""
    newest = FrameDetails.objects.filter(connection=connection_id).order_by("-taken_at")
    return newest.values_list("taken_at", flat=True).first()


def frame_of(inspection: Inspection) -> FrameDetails | None:
    """How the picture of a record was taken; None where no camera of this system took it."""
    return FrameDetails.objects.select_related("connection").filter(request=inspection.request_id).first()


@dataclass(frozen=True)
class LastVerdict:
    """`state`: the outcome of `inspection`, `pending`, `no_verdict` (it ended without a record) or `none`: nothing yet.

    While one is pending, `inspection` is the one before. What is not `is_current` is of a part that has gone.
    """

    state: str
    inspection: Inspection | None = None
    at: datetime | None = None

    @property
    def is_current(self) -> bool:
        return self.at is not None and (timezone.now() - self.at).total_seconds() <= CURRENT_SECONDS


def last_verdict(connection: Connection) -> LastVerdict:
    """Of a camera's own frames; where none was asked about, of its station."""
    frames = FrameDetails.objects.filter(connection=connection).select_related("request").order_by("-taken_at")
    requests = [frame.request for frame in frames[:_LOOKED_BACK]]
    if not requests:
        return _of_station(connection)
    records = {record.request_id: record for record in Inspection.objects.filter(request__in=requests)}
    newest = requests[0]
    if newest.status in InspectionRequest.OPEN:
        before = next((records[request.pk] for request in requests if request.pk in records), None)
        return LastVerdict(PENDING, before, newest.created_at)
    record = records.get(newest.pk)
    if record is None:
        return LastVerdict(NO_VERDICT, at=newest.created_at)
    return LastVerdict(record.outcome, record, record.created_at)


def _of_station(connection: Connection) -> LastVerdict:
    if not connection.station:
        return LastVerdict(NONE)
    keys = matching_keys(Filters(station=connection.station, category=connection.category))[:1]
    for inspection in records_of(keys):
        return LastVerdict(inspection.outcome, inspection, inspection.created_at)
    return LastVerdict(NONE)
