"""Writes: what has to go out, with the record that it is about; and dead letters that people send again.

On PostgreSQL the end of the audit chain is held while numbers are given, as it is when records are written: so the
order of the numbers of a lane is that in which they become visible, and nothing is sent before something older.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Max, Q, QuerySet
from django.utils import timezone

from common.database import database_now
from common.errors import Conflict
from common.rights import Right, require
from edge.connections.models import Connection
from edge.connections.registry import KINDS
from edge.deliveries.documents import part_content, record_content, unjudged_content, unjudged_part_content
from edge.deliveries.models import Delivery, ExpectedVerdict, HeldFile, Lane
from inspection.models import Inspection, InspectionRequest, LayoutView, PartInspection, PartRequest, PartRequestView
from jobs import broker
from records.audit.services import Actor, audit, lock_audit_chain

TOPIC = "deliveries"  # of the notice that something waits
TOO_LATE = "line_time_over"
_NEVER = timedelta(days=36_525)  # what forwards records waits for its centre, however long that takes


def takers(*, station: str, categories: Collection[int]) -> QuerySet[Connection]:
    """Connections that want the verdicts of a station and of one of these categories."""
    kinds = [kind.name for kind in KINDS.values() if kind.takes_verdicts]
    return Connection.objects.filter(
        Q(category__in=categories) | Q(category__isnull=True),
        is_enabled=True,
        kind__in=kinds,
        station__in={"", station},
    ).order_by("pk")


def write_expected_verdicts(request: InspectionRequest) -> None:
    """Note which connections wait for the verdict of a new request, and until when. In its transaction."""
    wanted = takers(station=request.station, categories=[request.model_version.category_id])
    rows = [
        ExpectedVerdict(
            connection=connection,
            request=request,
            since=request.created_at,
            due_at=request.created_at + timedelta(milliseconds=connection.line_time_ms or 0),
        )
        for connection in wanted.filter(line_time_ms__isnull=False)
    ]
    ExpectedVerdict.objects.bulk_create(rows)


def write_verdict(inspection: Inspection) -> None:
    """A delivery of a new record for each connection that wants it. In the record's transaction."""
    _write_record(inspection, takers(station=inspection.station, categories=[inspection.category_id]))


def write_view(inspection: Inspection) -> None:
    """The same of the record of one view of a part, for connections that forward records: it is none to the line."""
    wanted = takers(station=inspection.station, categories=[inspection.category_id])
    _write_record(inspection, wanted.filter(kind__in=_forwarding()))


def _write_record(inspection: Inspection, wanted: QuerySet[Connection]) -> None:
    connections = list(wanted)
    _write(
        connections,
        Delivery.Event.VERDICT,
        request=inspection.request,
        requested_at=inspection.request.created_at,
        inspection=inspection,
        content=record_content(inspection) if connections else {},
        recorded_at=inspection.created_at,
    )


def write_no_verdict(request: InspectionRequest) -> None:
    """The same of a request that ended without a record: no connection waits in vain. In the transaction of its end."""
    connections = list(takers(station=request.station, categories=[request.model_version.category_id]))
    # Who was told so when the line's time was over is not told again.
    told = set(
        Delivery.objects.filter(request=request, event=Delivery.Event.NO_VERDICT).values_list(
            "lane__connection_id", flat=True
        )
    )
    _write(
        [connection for connection in connections if connection.pk not in told],
        Delivery.Event.NO_VERDICT,
        request=request,
        requested_at=request.created_at,
        content=unjudged_content(request, reason=request.error_code or str(request.status)) if connections else {},
        recorded_at=timezone.now(),
    )


def write_expected_verdicts_of_part(part: PartRequest) -> None:
    """The same as `write_expected_verdicts`, of a part all of whose views have come. In the last one's transaction.

    A view that comes anew does not prolong the line's time.
    """
    now = database_now()
    ExpectedVerdict.objects.bulk_create(
        [
            ExpectedVerdict(
                connection=connection,
                part_request=part,
                since=now,
                due_at=now + timedelta(milliseconds=connection.line_time_ms or 0),
            )
            for connection in _takers_of_part(part).filter(line_time_ms__isnull=False)
        ],
        ignore_conflicts=True,
    )


def write_verdict_of_part(part: PartInspection) -> None:
    """The same as `write_verdict`, of the record of a part. Its views say nothing to the line."""
    connections = list(_takers_of_part(part.request))
    _write(
        connections,
        Delivery.Event.VERDICT,
        part_request=part.request,
        requested_at=_line_waits_since(part),
        part=part,
        content=part_content(part) if connections else {},
        recorded_at=part.created_at,
    )


def _takers_of_part(part: PartRequest) -> QuerySet[Connection]:
    """A connection for one category gets each part that has a view of it: it must not wait in vain."""
    categories = LayoutView.objects.filter(layout=part.layout_id).values_list("category", flat=True)
    return takers(station=part.station, categories=list(categories)).exclude(kind__in=_forwarding())


def _forwarding() -> list[str]:
    return [kind.name for kind in KINDS.values() if kind.forwards_records]


def _line_waits_since(part: PartInspection) -> datetime:
    """Since its last view came; since its time was over, where one never did."""
    came = PartRequestView.objects.filter(part=part.request_id)
    if came.count() < LayoutView.objects.filter(layout=part.layout_id).count():
        return part.request.closes_at
    last = came.aggregate(last=Max("request__created_at"))["last"]
    return last or part.created_at  # all of them were refused when they came


def write_overdue_verdicts() -> int:
    """Say "no verdict" for each that was expected by now; how many.

    Whoever writes the record meanwhile is faster or not: the row that says that it is expected can be removed once.
    """
    now = database_now()
    overdue = list(
        ExpectedVerdict.objects.filter(due_at__lte=now).order_by("due_at").values_list("pk", flat=True)[:100]
    )
    number = 0
    for pk in overdue:
        with transaction.atomic():
            lock_audit_chain()
            row = ExpectedVerdict.objects.select_related(
                "connection", "request__model_version__category", "part_request__layout"
            ).filter(pk=pk)
            expected = row.first()
            if expected is None or not row.delete()[0]:
                continue
            request, part = expected.request, expected.part_request
            if part is not None:
                content = unjudged_part_content(part, reason=TOO_LATE)
            else:
                assert request is not None  # a constraint
                content = unjudged_content(request, reason=TOO_LATE)
            _write_rows(
                [expected.connection],
                Delivery.Event.NO_VERDICT,
                request=request,
                part_request=part,
                content=content,
                requested_at=expected.since,
                recorded_at=timezone.now(),
            )
            number += 1
    return number


def _write(
    connections: list[Connection],
    event: str,
    *,
    request: InspectionRequest | None = None,
    part_request: PartRequest | None = None,
    **columns: Any,
) -> None:
    lock_audit_chain()
    subject = {"part_request": part_request} if request is None else {"request": request}
    ExpectedVerdict.objects.filter(**subject).delete()
    _write_rows(connections, event, request=request, part_request=part_request, **columns)


def _write_rows(
    connections: Iterable[Connection],
    event: str,
    *,
    request: InspectionRequest | None,
    part_request: PartRequest | None,
    content: dict[str, Any],
    requested_at: datetime,
    recorded_at: datetime,
    inspection: Inspection | None = None,
    part: PartInspection | None = None,
) -> None:
    rows = []
    for connection in connections:
        lane, _ = Lane.objects.get_or_create(connection=connection, station=content["station"])
        Lane.objects.filter(pk=lane.pk).update(last_sequence=F("last_sequence") + 1)
        lane.refresh_from_db(fields=["last_sequence"])
        rows.append(
            Delivery(
                lane=lane,
                sequence=lane.last_sequence,
                event=event,
                request=request,
                inspection=inspection,
                part_request=part_request,
                part=part,
                content=content,
                requested_at=requested_at,
                recorded_at=recorded_at,
                due_at=recorded_at,
                give_up_at=_give_up_at(connection.kind),
            )
        )
    Delivery.objects.bulk_create(rows)
    if inspection is not None:
        _hold_files(inspection, [row for row in rows if KINDS[row.lane.connection.kind].forwards_records])
    if rows:
        transaction.on_commit(lambda: broker.notify(TOPIC))


def _hold_files(inspection: Inspection, rows: Iterable[Delivery]) -> None:
    """Keep image and map from retention until they have gone out."""
    assets = [asset for asset in (inspection.asset_id, inspection.map_id) if asset is not None]
    HeldFile.objects.bulk_create([HeldFile(delivery=row, asset_id=asset) for row in rows for asset in assets])


def _give_up_at(kind: str) -> datetime:
    if KINDS[kind].forwards_records:
        return timezone.now() + _NEVER
    return timezone.now() + timedelta(hours=settings.EDGE_GIVE_UP_HOURS)


@transaction.atomic
def resend(*, delivery: Delivery, actor: Actor) -> Delivery:
    """Let a dead letter go out again, marked as sent out of its order.

    Raises `Forbidden`, and `Conflict` where it is none.
    """
    require(actor, Right.CONNECT)
    connection = delivery.lane.connection
    if not _resend(Delivery.objects.filter(pk=delivery.pk), connection):
        delivery.refresh_from_db()
        raise Conflict(f"Delivery {delivery.pk} is {delivery.status}, no dead letter. Nothing was changed.")
    delivery.refresh_from_db()
    audit(
        kind="delivery.resent",
        subject=connection,
        actor=actor,
        after={"delivery": str(delivery.pk), "connection": connection.name},
        changes_subject=False,
    )
    return delivery


@transaction.atomic
def resend_all(*, connection: Connection, actor: Actor) -> int:
    """The same of all dead letters of a connection; how many. Raises `Forbidden`."""
    require(actor, Right.CONNECT)
    number = _resend(Delivery.objects.filter(lane__connection=connection), connection)
    if number:
        audit(
            kind="delivery.resent",
            subject=connection,
            actor=actor,
            after={"deliveries": number, "connection": connection.name},
            changes_subject=False,
        )
    return number


def _resend(rows: QuerySet[Delivery], connection: Connection) -> int:
    number = rows.filter(status=Delivery.Status.FAILED).update(
        status=Delivery.Status.WAITING,
        failures=0,
        is_resent=True,
        due_at=timezone.now(),
        give_up_at=_give_up_at(connection.kind),
    )
    if number:
        transaction.on_commit(lambda: broker.notify(TOPIC))
    return number
