"""The line: what is loaded, a place for images, the last inspections."""

from __future__ import annotations

import uuid
from collections import Counter

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from accounts.roles import Right
from accounts.web import needs
from inspection import selectors, services
from inspection.api.views import read_upload
from modelzoo.selectors import active_deployments, deployment_in_force
from mvtec_site.errors import NotFound, UserError

_LATEST = 24


@require_GET
@needs(Right.READ)
def line(request: HttpRequest) -> HttpResponse:
    """What is loaded, a place to drop an image, the last inspections; `?inspection=` opens one."""
    return render(request, "line.html", _line_context(request))


def _line_context(request: HttpRequest) -> dict[str, object]:
    shown = None
    wanted = request.GET.get("inspection", "")
    if wanted:
        try:
            shown = selectors.find_inspection(uuid.UUID(wanted))
        except (ValueError, NotFound):
            shown = None
    latest = list(selectors.inspections()[:_LATEST])
    return {
        "status": selectors.line_status(),
        "deployments": active_deployments(),
        "latest": latest,
        "counts": Counter(inspection.outcome for inspection in latest),
        "shown": shown,
        "accept": ",".join(f".{extension}" for extension in settings.ALLOWED_EXTENSIONS),
        "max_megabytes": settings.MAX_FILE_SIZE // 1024**2,
    }


@require_GET
@needs(Right.READ)
def line_status(request: HttpRequest) -> HttpResponse:
    """The status strip and the last inspections alone, for htmx to ask again."""
    context = _line_context(request)
    return HttpResponse("".join(render_to_string(f"line.html#{part}", context, request) for part in ("live", "latest")))


@require_POST
@needs(Right.INSPECT)
def inspect(request: HttpRequest) -> HttpResponse:
    """Judge an uploaded image. htmx gets the verdict as a partial, a plain form the page with it opened."""
    file = request.FILES.get("image")
    try:
        if file is None:
            raise UserError("Choose an image first.", code="no_image")
        data = read_upload(file, actor=request.user)
        done = services.inspect_image(
            data=data,
            filename=file.name or "",
            deployment=deployment_in_force(request.POST.get("category", "")),
            source="web",
            actor=request.user,
        )
    except UserError as error:
        context = {"error": error, "filename": file.name if file else ""}
        # htmx swaps answers of 2xx only; the partial itself says that it failed.
        if request.htmx:  # type: ignore[attr-defined]
            return render(request, "line.html#result", context)
        return render(request, "line.html", _line_context(request) | context, status=error.status)
    if request.htmx:  # type: ignore[attr-defined]
        response = render(request, "line.html#result", {"shown": done})
        response["HX-Trigger"] = "inspected"
        response["HX-Push-Url"] = f"{reverse('line')}?inspection={done.pk}"
        return response
    return redirect(f"{reverse('line')}?inspection={done.pk}")
