"""What the templates of the live view are given."""

from __future__ import annotations

from typing import Any

from edge.cameras.choices import NAME
from edge.cameras.live import STALE_SECONDS, is_live, read_live
from edge.cameras.selectors import last_verdict
from edge.connections.models import Connection
from edge.connections.selectors import connections

_MAX_CAMERAS = 4  # on the page of the line


def live_context(camera: Connection) -> dict[str, Any]:
    """`silent`: for so many seconds there was no frame."""
    picture = read_live(camera.pk)
    shown = picture if picture is not None and picture.is_live else None
    return {
        "camera": camera,
        "version": shown.version if shown else "",
        "silent": None if picture is None else round(picture.age),
        "verdict": last_verdict(camera),
        "is_live": shown is not None,
        "stale_ms": round(STALE_SECONDS * 1000),
    }


def live_cameras(station: str) -> list[Connection]:
    """The cameras of a station that show something now; without a station the only one that does."""
    cameras = connections().filter(kind=NAME, is_enabled=True)
    if station:
        cameras = cameras.filter(station=station)
    live = [camera for camera in cameras[:50] if is_live(camera.pk)]
    if not station and len(live) != 1:
        return []
    return live[:_MAX_CAMERAS]
