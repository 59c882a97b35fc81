"""The page of a report as it is now, and the pictures on it."""

from __future__ import annotations

import uuid

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET

from common.api.views import immutable
from common.errors import NotFound, UserError
from common.rights import Right
from common.web.decorators import needs
from inspection.judging.pictures import small_with_heat
from inspection.judging.selectors import find_inspection
from reports.content import pages
from reports.content.documents import report_document
from reports.content.scope import parse_scope


@require_GET
@needs(Right.READ)
def report(request: HttpRequest) -> HttpResponse:
    """What is asked for stands in the address, so it can be sent to a colleague; nothing: the present shift."""
    context = pages.form_context(request.GET)
    try:
        scope = parse_scope(request.GET)
    except UserError as error:
        return render(request, "reports/live.html", context | {"failed": error}, status=error.status)
    before, after = pages.steps_of(scope, request.GET)
    context |= pages.document_context(report_document(scope)) | {"before": before, "after": after}
    return render(request, "reports/live.html", context)


@require_GET
@needs(Right.READ)
def picture(request: HttpRequest, inspection_id: uuid.UUID) -> HttpResponseBase:
    """A record's picture with its anomaly map, small. It never changes."""
    try:
        record = find_inspection(inspection_id)

        def make() -> HttpResponse:
            small = small_with_heat(record)
            return HttpResponse(small.data, content_type=small.media_type)

        return immutable(request, f"report picture {record.pk}", make)
    except NotFound as error:
        raise Http404(error.detail) from error
    except UserError as error:  # retention removed it
        return HttpResponse(error.detail, status=error.status, content_type="text/plain")
