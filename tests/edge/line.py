"""Connections of a test, and parts that are judged at its line."""

from __future__ import annotations

from typing import Any

from edge.connections.services import create_connection
from edge.models import Connection, Delivery
from inspection.judging.services import PartContext, Submission, inspect_image
from inspection.models import Inspection
from tests import parts

SECRET = "a secret of sixteen characters"


def webhook(name: str = "mes", url: str = "https://receiver.example/", **fields: Any) -> Connection:
    values: dict[str, Any] = {"secrets": {"signing_secret": SECRET}, "actor": None, **fields}
    return create_connection(name=name, kind="webhook", settings={"url": url}, **values)


def inspected(seed: int = 0, *, defective: bool = False, **part: str) -> Inspection:
    """A single image that somebody sends; a worker must be there."""
    return inspect_image(
        data=parts.png(seed, defective=defective),
        submission=Submission(filename=f"{seed}.png", source="api", actor=None, part=PartContext(**part)),
        category="disc",
    )


def deliveries(connection: Connection) -> list[Delivery]:
    """In their order, lane by lane."""
    return list(Delivery.objects.filter(lane__connection=connection).order_by("lane__station", "sequence"))
