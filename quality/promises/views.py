"""The page of promises."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from common.rights import Right
from common.web.decorators import needs
from quality.promises import pages


@require_GET
@needs(Right.READ)
def promises(request: HttpRequest) -> HttpResponse:
    """The newest promises, each beside what came."""
    return render(request, "quality/promises.html", pages.context())
