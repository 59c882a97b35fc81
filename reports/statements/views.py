"""Pages of statements: asking for one, issuing it, the issued ones."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from common.errors import NotFound, UserError
from common.rights import Right
from common.web.decorators import needs
from edge.passages.selectors import counters
from reports.statements import selectors, services
from reports.statements.documents import statement_document
from reports.statements.scope import FIELDS, Basis, parse_scope
from reports.statements.sections import sections_of

_LATEST, _COUNTERS = 50, 200


def _context(params: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: params.get(name, "") for name in FIELDS}
    return {
        "bases": Basis.choices,
        "counters": list(counters()[:_COUNTERS]),
        "values": values | {"basis": values["basis"] or Basis.SERIALS},
        "query": urlencode({name: value for name, value in values.items() if value}),
        "statements": list(selectors.statements()[:_LATEST]),
    }


@require_GET
@needs(Right.READ)
def statements(request: HttpRequest) -> HttpResponse:
    """What is asked for stands in the address; nothing: the form and what was issued."""
    context = _context(request.GET)
    if not any(request.GET.get(name) for name in FIELDS):
        return render(request, "reports/statements.html", context)
    try:
        document = statement_document(parse_scope(request.GET), now=timezone.now(), actor=request.user)
    except UserError as error:
        return render(request, "reports/statements.html", context | {"failed": error}, status=error.status)
    return render(request, "reports/statements.html", context | _shown(document))


def _shown(document: dict[str, Any]) -> dict[str, Any]:
    return {"report": document, "sections": sections_of(document)}


@require_POST
@needs(Right.EXPORT)
def issue(request: HttpRequest) -> HttpResponse:
    """Freeze the statement that the address of the page asks for."""
    try:
        made = services.issue_statement(scope=parse_scope(request.POST), actor=request.user)
    except UserError as error:
        context = _context(request.POST) | {"failed": error}
        return render(request, "reports/statements.html", context, status=error.status)
    messages.success(request, _("Issued. The statement stays as it is; its hashes are in the audit log."))
    return redirect("statement", made.pk)


@require_GET
@needs(Right.READ)
def statement(request: HttpRequest, statement_id: uuid.UUID) -> HttpResponse:
    """What it said, from its own document: later records change nothing in it."""
    try:
        issued = selectors.find_statement(statement_id)
    except NotFound as error:
        raise Http404(error.detail) from error
    context = _shown(json.loads(issued.document)) | {"issued": issued, "event": selectors.event_of(issued)}
    return render(request, "reports/statement.html", context)
