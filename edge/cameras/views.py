"""The live view of a camera: its page, its newest frame, and what is said beside it."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from common.errors import NotFound
from common.rights import Right
from common.web.decorators import needs
from edge.cameras.choices import NAME
from edge.cameras.live import read_live
from edge.cameras.pages import live_context
from edge.connections.models import Connection
from edge.connections.pages import row_of
from edge.connections.selectors import find_connection


@require_GET
@needs(Right.READ)
@never_cache
def live(request: HttpRequest, connection_id: int) -> HttpResponse:
    camera = _find(connection_id)
    context: dict[str, Any] = live_context(camera) | {"row": row_of(camera)}
    return render(request, "edge/live.html", context)


@require_GET
@needs(Right.READ)
@never_cache
def state(request: HttpRequest, connection_id: int) -> HttpResponse:
    """The last verdict, and which frame is the newest: asked for again and again."""
    return render(request, "edge/_live_state.html", live_context(_find(connection_id)))


@require_GET
@needs(Right.READ)
@never_cache
def frame(request: HttpRequest, connection_id: int) -> HttpResponse:
    """The newest frame as a small JPEG; 404 where there is none, or none that is live."""
    picture = read_live(_find(connection_id).pk)
    if picture is None or not picture.is_live:
        raise Http404("The camera sends no frames.")
    return HttpResponse(picture.jpeg, content_type="image/jpeg")


def _find(connection_id: int) -> Connection:
    try:
        camera = find_connection(connection_id)
    except NotFound as error:
        raise Http404(error.detail) from error
    if camera.kind != NAME:
        raise Http404("This connection is no camera.")
    return camera
