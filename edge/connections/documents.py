"""The JSON shape of connections, their kinds, and what goes over them. No secret is in any of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.urls import reverse

from edge.connections.kinds import Kind, Setting
from edge.connections.models import Connection, ConnectionSecret
from edge.connections.selectors import health_of, secrets_of
from edge.deliveries.models import Delivery

_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}


def _moment(value: datetime | None) -> str | None:
    return value.isoformat() if value else None


def connection_document(connection: Connection) -> dict[str, Any]:
    """Of a row of `connections`."""
    return {
        "connection_id": connection.pk,
        "url": reverse("api-connection", args=[connection.pk]),
        "page_url": reverse("connection", args=[connection.pk]),
        "name": connection.name,
        "kind": connection.kind,
        "station": connection.station,
        "category": connection.category.name if connection.category else None,
        "settings": connection.settings,
        "secrets": [_secret_document(secret) for secret in secrets_of(connection)],
        "line_time_ms": connection.line_time_ms,
        "enabled": connection.is_enabled,
        "revision": connection.revision,
        "created_at": connection.created_at.isoformat(),
        "created_by": connection.created_by.get_username() if connection.created_by else None,
    }


def _secret_document(secret: ConnectionSecret) -> dict[str, Any]:
    return {"name": secret.name, "set_at": secret.created_at.isoformat(), "ends_at": _moment(secret.ends_at)}


def full_connection_document(connection: Connection) -> dict[str, Any]:
    """With how it is."""
    health = health_of(connection)
    return connection_document(connection) | {
        "state": health.state,
        "since": _moment(health.since),
        "seen_at": _moment(health.seen_at),
        "error": health.error,
        "error_at": _moment(health.error_at),
        "waiting": health.waiting,
        "delivered": health.delivered,
        "dead_letters": health.dead_letters,
        "oldest_waiting_at": _moment(health.oldest_waiting_at),
        "last_delivered_at": _moment(health.last_delivered_at),
        "latency_p50_ms": health.latency_p50_ms,
        "latency_p99_ms": health.latency_p99_ms,
        "figures": dict(health.figures),
    }


def delivery_document(delivery: Delivery) -> dict[str, Any]:
    """Of a row of `deliveries`."""
    return {
        "delivery_id": str(delivery.pk),
        "status": delivery.status,
        "event": delivery.event,
        "station": delivery.lane.station,
        "sequence": delivery.sequence,
        "attempts": delivery.attempts,
        "resent": delivery.is_resent,
        "error": delivery.error,
        "content": delivery.content,
        "requested_at": delivery.requested_at.isoformat(),
        "recorded_at": delivery.recorded_at.isoformat(),
        "due_at": delivery.due_at.isoformat(),
        "sent_at": _moment(delivery.sent_at),
        "latency_ms": delivery.latency_ms,
    }


def kind_document(kind: Kind) -> dict[str, Any]:
    return {
        "kind": kind.name,
        "title": str(kind.title),
        "takes_verdicts": kind.takes_verdicts,
        "installed": not kind.missing_modules,
        "settings": [_setting_document(setting) for setting in kind.settings],
        "secrets": [
            {"name": field.name, "title": str(field.label), "mandatory": field.is_required} for field in kind.secrets
        ],
    }


def _setting_document(setting: Setting) -> dict[str, Any]:
    return {
        "name": setting.name,
        "title": str(setting.label),
        "type": _TYPES[setting.form],
        "mandatory": setting.is_required,
        "initial_value": setting.default,
        "low": setting.low,
        "high": setting.high,
        "choices": [name for name, _ in setting.choices],
    }
