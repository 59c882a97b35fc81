"""What the templates of the live view are given."""

from __future__ import annotations

from typing import Any

from edge.cameras.live import STALE_SECONDS, read_live
from edge.cameras.selectors import last_verdict
from edge.connections.models import Connection


def live_context(camera: Connection) -> dict[str, Any]:
    """`silent`: for so many seconds there was no frame."""
    picture = read_live(camera.pk)
    is_live = picture is not None and picture.is_live
    return {
        "camera": camera,
        "version": picture.version if picture is not None and is_live else "",
        "silent": None if picture is None else round(picture.age),
        "verdict": last_verdict(camera),
        "is_live": is_live,
        "stale_ms": round(STALE_SECONDS * 1000),
    }
