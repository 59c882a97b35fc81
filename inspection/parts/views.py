"""Pages of parts: which there are, and one of them with its views side by side."""

from __future__ import annotations

import uuid

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from common.api.pagination import read_page
from common.errors import NotFound, UserError
from common.rights import Right
from common.web.decorators import needs
from common.web.htmx import HtmxRequest
from inspection.parts import pages, selectors
from inspection.parts.certificate import make_part_certificate
from inspection.parts.selectors import Part


@require_GET
@needs(Right.READ)
def parts(request: HttpRequest) -> HttpResponse:
    """Records of parts, newest first; above them what is gathered at the moment."""
    filters = pages.filters_of(request.GET)
    context = pages.list_context(filters)
    try:
        page = read_page(selectors.records(**filters), request, ordering=("-created_at", "-request_id"))
    except UserError as error:
        return render(request, "parts/list.html", context | {"lost": error}, status=error.status)
    context |= {"page": page, "parts": selectors.with_views(page.rows)}
    return render(request, "parts/list.html", context)


@require_GET
@vary_on_headers("HX-Request")
@needs(Right.READ)
def part(request: HtmxRequest, part_id: uuid.UUID) -> HttpResponse:
    """One part. While it is open its page asks for itself again and again, and stops when it is closed."""
    row = _part_or_404(part_id)
    template = "parts/one.html#part" if request.htmx else "parts/one.html"
    return render(request, template, {"part": row, "counts": pages.counts_of(row)})


@require_GET
@needs(Right.READ)
def certificate(request: HttpRequest, part_id: uuid.UUID) -> HttpResponse:
    """The part with all its views as one document, to print or to send along with it."""
    try:
        pdf = make_part_certificate(part=_part_or_404(part_id), actor=request.user)
    except UserError as error:
        return HttpResponse(error.detail, status=error.status, content_type="text/plain; charset=utf-8")
    headers = {
        "Content-Disposition": f'inline; filename="certificate-part-{part_id}.pdf"',
        "Cache-Control": "private, no-store",
    }
    return HttpResponse(pdf, content_type="application/pdf", headers=headers)


def _part_or_404(part_id: uuid.UUID) -> Part:
    try:
        return selectors.find_part(part_id)
    except NotFound as error:
        raise Http404(error.detail) from error
