"""Pages of issued reports: the list, one as it was, and issuing one."""

from __future__ import annotations

import json
import uuid

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from common.errors import NotFound, UserError
from common.rights import Right
from common.web.decorators import needs
from reports.content.pages import document_context, form_context
from reports.content.scope import parse_scope
from reports.issued import selectors, services

_LATEST = 100


@require_GET
@needs(Right.READ)
def issued_reports(request: HttpRequest) -> HttpResponse:
    return render(request, "reports/issued.html", {"reports": list(selectors.reports()[:_LATEST])})


@require_GET
@needs(Right.READ)
def issued_report(request: HttpRequest, report_id: uuid.UUID) -> HttpResponse:
    """What the report said, from its own document: later reviews and releases change nothing in it."""
    try:
        issued = selectors.find_report(report_id)
    except NotFound as error:
        raise Http404(error.detail) from error
    context = document_context(json.loads(issued.document)) | {"issued": issued}
    return render(request, "reports/issued_one.html", context)


@require_POST
@needs(Right.EXPORT)
def issue(request: HttpRequest) -> HttpResponse:
    """Freeze the report that the address of the page asks for."""
    try:
        report = services.issue_report(scope=parse_scope(request.POST), actor=request.user)
    except UserError as error:
        context = form_context(request.POST) | {"failed": error}
        return render(request, "reports/live.html", context, status=error.status)
    messages.success(
        request, _("Issued. The report and its files stay as they are; their hashes are in the audit log.")
    )
    return redirect("issued-report", report.pk)
