"""What pages of other apps show of cameras."""

from __future__ import annotations

from typing import Any

from django import template

from common.web.browser import station_of
from edge.cameras.choices import NAME
from edge.cameras.models import FrameDetails
from edge.cameras.pages import live_cameras, live_context
from edge.cameras.selectors import frame_of
from edge.connections.models import Connection
from inspection.models import Inspection

register = template.Library()


@register.filter
def camera_frame(record: Inspection) -> FrameDetails | None:
    """How the picture of a record was taken."""
    return frame_of(record)


@register.inclusion_tag("edge/_camera_view.html")
def camera_view(connection: Connection) -> dict[str, Any]:
    """The live view of a connection that is a camera; nothing of others."""
    return live_context(connection) if connection.kind == NAME else {}


@register.inclusion_tag("edge/_line_cameras.html", takes_context=True)
def live_views(context: dict[str, Any]) -> dict[str, Any]:
    """The running cameras of the station of this browser; nothing where there are none."""
    cameras = live_cameras(station_of(context["request"]))
    return {"views": [live_context(camera) for camera in cameras]}
