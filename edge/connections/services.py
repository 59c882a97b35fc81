"""Writes: connections and their secrets, each with an audit event that names no secret."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from common.errors import Conflict, UserError
from common.rights import Right, require
from edge.connections.models import MAX_NAME, Connection, ConnectionSecret
from edge.connections.registry import find_kind
from edge.connections.sealing import fingerprint, seal
from modelzoo.models import Category
from modelzoo.services import actor_id
from records.audit.services import Actor, audit

CHANGEABLE = ("name", "station", "category", "settings", "line_time_ms", "is_enabled")
_MAX_SECRET = 500


@transaction.atomic
def create_connection(
    *,
    name: str,
    kind: str,
    settings: Mapping[str, Any],
    actor: Actor,
    station: str = "",
    category: Category | None = None,
    line_time_ms: int | None = None,
    is_enabled: bool = True,
    secrets: Mapping[str, str] | None = None,
) -> Connection:
    """A new connection; the process that keeps them opens it a moment later.

    `secrets` by the names of its kind; what is empty is not set. Raises `Forbidden`, `UserError` for what its kind does
    not take, and `Conflict` where the name is in use.
    """
    require(actor, Right.CONNECT)
    found = find_kind(kind)
    found.require_installed()
    connection = Connection(
        name=_clean_name(name),
        kind=found.name,
        station=_clean_station(station),
        category=category,
        settings=found.clean(settings),
        line_time_ms=_clean_line_time(line_time_ms),
        is_enabled=is_enabled,
        created_by_id=actor_id(actor),
    )
    _save(connection)
    rows = [_set_secret(connection, key, value, actor=actor) for key, value in (secrets or {}).items() if value]
    audit(kind="connection.created", subject=connection, actor=actor, after=_said(connection, secrets=rows))
    return connection


@transaction.atomic
def change_connection(*, connection: Connection, changes: Mapping[str, Any], actor: Actor) -> Connection:
    """Change some of `CHANGEABLE`. Settings that are not named stay as they are. The kind never changes.

    Raises as `create_connection`. Where nothing differs, nothing is written.
    """
    require(actor, Right.CONNECT)
    if unknown := sorted(set(changes) - set(CHANGEABLE)):
        raise UserError(
            f"A connection's {unknown[0]} cannot be changed. Nothing was changed.", code="invalid", field=unknown[0]
        )
    connection = _locked(connection)
    before = _said(connection)
    for field, value in changes.items():
        setattr(connection, field, _cleaned(connection, field, value))
    after = _said(connection)
    if after == before:
        return connection
    connection.revision += 1
    _save(connection)
    audit(kind=_kind_of_change(before, after), subject=connection, actor=actor, before=before, after=after)
    return connection


def _kind_of_change(before: dict[str, Any], after: dict[str, Any]) -> str:
    if before["is_enabled"] == after["is_enabled"]:
        return "connection.changed"
    return "connection.enabled" if after["is_enabled"] else "connection.disabled"


@transaction.atomic
def set_secret(*, connection: Connection, name: str, value: str, actor: Actor) -> ConnectionSecret:
    """Give a connection a new secret of that name. An earlier one holds on beside it as long as its kind says.

    Raises `Forbidden`, and `UserError` for a secret that its kind does not take.
    """
    require(actor, Right.CONNECT)
    connection = _locked(connection)
    secret = _set_secret(connection, name, value, actor=actor)
    connection.revision += 1
    connection.save(update_fields=["revision"])
    audit(
        kind="connection.secret_set",
        subject=connection,
        actor=actor,
        after={"name": connection.name, "secret": secret.name},
    )
    return secret


@transaction.atomic
def end_old_secrets(*, connection: Connection, name: str, actor: Actor) -> int:
    """Let older secrets of that name hold no longer, such as those that somebody has got hold of; how many."""
    require(actor, Right.CONNECT)
    connection = _locked(connection)
    now = timezone.now()
    number = connection.secrets.filter(name=name, ends_at__gt=now).update(ends_at=now)
    if number:
        connection.revision += 1
        connection.save(update_fields=["revision"])
        audit(
            kind="connection.secret_ended",
            subject=connection,
            actor=actor,
            after={"name": connection.name, "secret": name},
        )
    return number


def _set_secret(connection: Connection, name: str, value: str, *, actor: Actor) -> ConnectionSecret:
    field = find_kind(connection.kind).secret_field(name)
    if not field.min_length <= len(value) <= _MAX_SECRET:
        raise UserError(
            f"The secret {name} needs {field.min_length} to {_MAX_SECRET} characters. Nothing was changed.",
            code="invalid",
            field=name,
        )
    until = timezone.now() + timedelta(hours=field.overlap_hours)
    connection.secrets.filter(name=name, ends_at__isnull=True).update(ends_at=until)
    return ConnectionSecret.objects.create(
        connection=connection,
        name=name,
        sealed=seal(value),
        fingerprint=fingerprint(value),
        created_by_id=actor_id(actor),
    )


def _cleaned(connection: Connection, field: str, value: Any) -> Any:
    if field == "name":
        return _clean_name(value)
    if field == "station":
        return _clean_station(value)
    if field == "line_time_ms":
        return _clean_line_time(value)
    if field == "settings":
        return find_kind(connection.kind).clean({**connection.settings, **value})
    return value


def _clean_name(name: str) -> str:
    name = " ".join(name.split())
    if not 0 < len(name) <= MAX_NAME:
        raise UserError(
            f"The name needs 1 to {MAX_NAME} characters. Nothing was changed.", code="invalid", field="name"
        )
    return name


def _clean_station(station: str) -> str:
    station = station.strip()
    if len(station) > 100:
        raise UserError("A station has 100 characters at most. Nothing was changed.", code="invalid", field="station")
    return station


def _clean_line_time(milliseconds: int | None) -> int | None:
    if milliseconds is not None and not 10 <= milliseconds <= 3_600_000:
        raise UserError(
            "The line's time must be 10 to 3600000 milliseconds. Nothing was changed.",
            code="invalid",
            field="line_time_ms",
        )
    return milliseconds


def _locked(connection: Connection) -> Connection:
    return (
        Connection.objects.select_for_update(no_key=True, of=("self",)).select_related("category").get(pk=connection.pk)
    )


def _save(connection: Connection) -> None:
    try:
        with transaction.atomic():
            connection.save()
    except IntegrityError:
        raise Conflict(
            f"There is another connection named {connection.name}. Nothing was changed. Choose another name.",
            code="connection_name_taken",
        ) from None


def _said(connection: Connection, *, secrets: list[ConnectionSecret] | None = None) -> dict[str, Any]:
    """What an event says of a connection: of its secrets the names alone."""
    said: dict[str, Any] = {
        "name": connection.name,
        "kind": connection.kind,
        "station": connection.station,
        "category": connection.category.name if connection.category else None,
        "settings": connection.settings,
        "line_time_ms": connection.line_time_ms,
        "is_enabled": connection.is_enabled,
    }
    return said | {"secrets": sorted(secret.name for secret in secrets)} if secrets else said
