"""The page of one record."""

from __future__ import annotations

import uuid

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from accounts.roles import Right
from accounts.web import needs
from inspection import selectors
from mvtec_site.errors import NotFound


@require_GET
@needs(Right.READ)
def inspection(request: HttpRequest, inspection_id: uuid.UUID) -> HttpResponse:
    """The permanent page of one record."""
    try:
        shown = selectors.find_inspection(inspection_id)
    except NotFound as error:
        raise Http404(error.detail) from error
    return render(request, "inspection.html", {"shown": shown})
