"""Reads: connections, what waits and went over them, how they are."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, Prefetch, Q, QuerySet, Sum
from django.utils import timezone

from common.errors import NotFound
from edge.connections.kinds import Kind, Target
from edge.connections.models import Connection, ConnectionSecret, ConnectionStatus
from edge.connections.registry import KINDS
from edge.connections.sealing import Unreadable, unseal
from edge.deliveries.models import Delivery, Lane

SILENT_AFTER = timedelta(seconds=15)  # without a sign of life
_LATEST = 1000  # deliveries, of which the latency is given


def secrets_in_force() -> QuerySet[ConnectionSecret]:
    return ConnectionSecret.objects.filter(Q(ends_at__isnull=True) | Q(ends_at__gt=timezone.now())).order_by("-pk")


def connections() -> QuerySet[Connection]:
    return (
        Connection.objects.select_related("category", "status", "created_by")
        .prefetch_related(Prefetch("secrets", queryset=secrets_in_force(), to_attr="secrets_now"))
        .order_by("name")
    )


def find_connection(connection_id: int) -> Connection:
    """Raises `NotFound`."""
    connection = connections().filter(pk=connection_id).first()
    if connection is None:
        raise NotFound(f"There is no connection {connection_id}.", code="connection_not_found")
    return connection


def kind_of(connection: Connection) -> Kind | None:
    """None for a kind that another version of this product knew."""
    return KINDS.get(connection.kind)


def target_of(connection: Connection) -> Target:
    """A row of `connections` for the process that keeps it. Raises `Unreadable`."""
    secrets: dict[str, tuple[str, ...]] = {}
    for secret in secrets_of(connection):
        secrets[secret.name] = (*secrets.get(secret.name, ()), unseal(secret.sealed))
    return Target(
        connection_id=connection.pk,
        name=connection.name,
        kind=connection.kind,
        station=connection.station,
        category=connection.category.name if connection.category else "",
        settings=connection.settings,
        secrets=secrets,
        line_time_ms=connection.line_time_ms,
        revision=connection.revision,
    )


def secrets_of(connection: Connection) -> list[ConnectionSecret]:
    rows: list[ConnectionSecret] = connection.secrets_now  # type: ignore[attr-defined]
    return rows


def is_secret_readable(secret: ConnectionSecret) -> bool:
    try:
        unseal(secret.sealed)
    except Unreadable:
        return False
    return True


# ---------------------------------------------------------------- how it is
@dataclass(frozen=True)
class Health:
    """How a connection is, and what went over it."""

    state: str  # disabled, opening, open, failing or silent
    since: datetime | None
    seen_at: datetime | None
    error: str
    error_at: datetime | None
    waiting: int
    delivered: int
    dead_letters: int
    oldest_waiting_at: datetime | None
    last_delivered_at: datetime | None
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    figures: Mapping[str, Any]


def health_of(connection: Connection) -> Health:
    status = getattr(connection, "status", None)
    rows = Delivery.objects.filter(lane__connection=connection)
    waiting_rows = rows.filter(status=Delivery.Status.WAITING).order_by()
    waiting = waiting_rows.aggregate(count=Count("*"), oldest=Min("recorded_at"))
    failed = rows.filter(status=Delivery.Status.FAILED).count()
    # Lanes are numbered without gaps: what is neither waiting nor a dead letter was delivered, also what was removed.
    numbered = Lane.objects.filter(connection=connection).aggregate(number=Sum("last_sequence"))["number"] or 0
    sent = rows.filter(status=Delivery.Status.SENT).order_by("-sent_at").values_list("sent_at", "latency_ms")[:_LATEST]
    latest = list(sent)
    latencies = sorted(latency for _, latency in latest if latency is not None)
    return Health(
        state=_state(connection, status),
        since=status.since if status else None,
        seen_at=status.seen_at if status else None,
        error=status.error if status else "",
        error_at=status.error_at if status else None,
        waiting=waiting["count"],
        delivered=numbered - waiting["count"] - failed,
        dead_letters=failed,
        oldest_waiting_at=waiting["oldest"],
        last_delivered_at=latest[0][0] if latest else None,
        latency_p50_ms=_quantile(latencies, 0.5),
        latency_p99_ms=_quantile(latencies, 0.99),
        figures=status.figures if status else {},
    )


def _state(connection: Connection, status: ConnectionStatus | None) -> str:
    if not connection.is_enabled:
        return "disabled"
    if status is None or status.seen_at is None or timezone.now() - status.seen_at > SILENT_AFTER:
        return "silent"
    return str(status.state) if status.state != ConnectionStatus.State.STOPPED else "silent"


def _quantile(ordered: list[float], share: float) -> float | None:
    """The smallest value that so many of all do not exceed."""
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else None


def dead_letters(connection: Connection) -> QuerySet[Delivery]:
    """The newest first."""
    return deliveries(connection, status=Delivery.Status.FAILED)


def deliveries(connection: Connection, *, status: str = "") -> QuerySet[Delivery]:
    """The newest first."""
    rows = Delivery.objects.filter(lane__connection=connection).select_related("lane")
    return (rows.filter(status=status) if status else rows).order_by("-created_at", "-sequence")


def find_delivery(delivery_id: uuid.UUID | str) -> Delivery:
    """Raises `NotFound`."""
    delivery = Delivery.objects.select_related("lane__connection").filter(pk=delivery_id).first()
    if delivery is None:
        raise NotFound(f"There is no delivery {delivery_id}.", code="delivery_not_found")
    return delivery
