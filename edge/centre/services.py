"""Writes: the connection to the centre, as the environment of an edge node says it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from common.errors import UserError
from edge.connections.models import Connection
from edge.connections.sealing import fingerprint
from edge.connections.services import change_connection, create_connection, set_secret
from records.audit.services import Actor

NAME = "centre"  # of a connection that this makes
KIND = "centre"


def centre_connections() -> list[Connection]:
    """Those by which this installation is an edge node, the oldest first: there should be one."""
    return list(Connection.objects.filter(kind=KIND).order_by("pk"))


def missing_settings() -> list[str]:
    """Names of the variables without which no connection can be made."""
    wanted = ("EDGE_CENTRE_URL", "EDGE_CENTRE_TOKEN", "EDGE_NODE_NAME")
    return [name for name in wanted if not getattr(settings, name)]


@transaction.atomic
def connect_as_set(*, actor: Actor) -> Connection | None:
    """The connection to the centre: made, or brought to what the environment says, which is then an audit event.

    Variables that are not set change nothing: a connection may also be made and changed on its page. None where there
    is none and too little is set. A disabled one stays disabled.
    """
    found = next(iter(centre_connections()), None)
    said = _said()
    if found is None:
        if missing_settings():
            return None
        token = {"token": settings.EDGE_CENTRE_TOKEN}
        return create_connection(name=NAME, kind=KIND, settings=said, secrets=token, actor=actor)
    change_connection(connection=found, changes={"settings": said}, actor=actor)
    if settings.EDGE_CENTRE_TOKEN and not _is_token_set(found):
        set_secret(connection=found, name="token", value=settings.EDGE_CENTRE_TOKEN, actor=actor)
    return Connection.objects.get(pk=found.pk)


def _said() -> dict[str, Any]:
    certificate = ""
    if settings.EDGE_CENTRE_CERTIFICATE:
        path = Path(settings.EDGE_CENTRE_CERTIFICATE).expanduser()
        try:
            certificate = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"EDGE_CENTRE_CERTIFICATE names {path}, which cannot be read ({error}).") from error
    said = {"url": settings.EDGE_CENTRE_URL, "node_name": settings.EDGE_NODE_NAME, "ca_certificate": certificate}
    return {name: value for name, value in said.items() if value}


def _is_token_set(connection: Connection) -> bool:
    newest = connection.secrets.filter(name="token", ends_at__isnull=True).first()
    return newest is not None and newest.fingerprint == fingerprint(settings.EDGE_CENTRE_TOKEN)
