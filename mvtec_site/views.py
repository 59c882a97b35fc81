"""The answers for what is not there, and pages that belong to no other app."""

from __future__ import annotations

import re
import sys
import uuid

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render, resolve_url
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from accounts.middleware import SIGN_IN_HEADER, session_over
from common.api import problems
from common.api.problem_list import PROBLEMS
from common.database import UNAVAILABLE
from common.files import is_disk_full
from common.version import PRODUCT, code_version, libraries
from common.web.refusals import Refusal, refusal_html
from records.storage.errors import StorageUnavailable


@require_GET
def help_page(request: HttpRequest) -> HttpResponse:
    """Keys, what the numbers mean, and what software this is."""
    return render(request, "site/help.html", {"code": code_version(), "libraries": libraries()})


@login_not_required
@require_GET
def problem_list(request: HttpRequest) -> HttpResponse:
    """What the `type` of a problem document leads to: each code with its status, meaning and remedy."""
    return render(request, "site/problems.html", {"problems": sorted(PROBLEMS.items())})


@login_not_required
def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    malformed = _malformed_record_id(request.path)
    if problems.is_api(request):
        return problems.response(404, "not_found", malformed or "There is nothing at this address.")
    detail = malformed or _("There is no page at this address.")
    return render(request, "site/problem.html", {"title": _("Page not found"), "detail": detail}, status=404)


def _malformed_record_id(path: str) -> str:
    """A sentence where an address names a record by what cannot be the id of one; else empty."""
    match = re.fullmatch(r"(?:/api)?/inspections/([^/]{1,60})(?:/[a-z]*)?/?", path)
    try:
        if match and str(uuid.UUID(match[1])) == match[1]:
            return ""
    except ValueError:
        pass
    if not match:
        return ""
    sentence = _(
        "%(id)s is not a record id. An id has 32 hexadecimal digits in lower case, such as "
        "67358c99-9052-4e0b-92b8-98400b36614c. Find the record in the history by its serial number or file name."
    )
    return sentence % {"id": match[1]}


@login_not_required
def server_error(request: HttpRequest) -> HttpResponse:
    """A defect of ours. The log has the traceback under the request id that the answer carries.

    A storage that does not answer is none, and neither is a database; what was done by then nobody knows who cannot
    ask it.
    """
    error = sys.exc_info()[1]
    if isinstance(error, UNAVAILABLE):
        return _database_unavailable(request)
    if isinstance(error, StorageUnavailable):
        if problems.is_api(request):
            return problems.response(error.status, error.code, error.detail)
        context = {"title": _("Storage unavailable"), "detail": refusal_html(error)}
        return render(request, "site/problem.html", context, status=error.status)
    if error is not None and is_disk_full(error):
        return _disk_full(request)
    detail = _(
        "Something went wrong on the server. Records that were already saved are safe. Try again; if it happens again, "
        "call support."
    )
    if problems.is_api(request):
        return problems.response(500, "internal_error", detail)
    return render(request, "site/problem.html", {"title": _("Server error"), "detail": detail}, status=500)


def _database_unavailable(request: HttpRequest) -> HttpResponse:
    status, code, detail = problems.database_failed(changed_nothing=request.method in ("GET", "HEAD"))
    if problems.is_api(request):
        return problems.response(status, code, detail)
    # Without the request: who is signed in would be asked of the database.
    context = {"product": PRODUCT, "title": _("Database unavailable"), "detail": refusal_html(Refusal(code, detail))}
    page = render_to_string("site/problem.html", context)
    return HttpResponse(page, status=status)


def _disk_full(request: HttpRequest) -> HttpResponse:
    status, code, detail = problems.disk_full(changed_nothing=request.method in ("GET", "HEAD"))
    if problems.is_api(request):
        return problems.response(status, code, detail)
    context = {"title": _("Disk full"), "detail": refusal_html(Refusal(code, detail))}
    return render(request, "site/problem.html", context, status=status)


@login_not_required
def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    problem = problems.describe(exception) if exception else None
    status, code, detail, extra = problem or (400, "bad_request", "This request cannot be read.", {})
    if problems.is_api(request):
        return problems.response(status, code, detail, **extra)
    context = {"title": _("Bad request"), "detail": refusal_html(Refusal(code, detail))}
    return render(request, "site/problem.html", context, status=status)


@login_not_required
def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    if problems.is_api(request):
        return problems.response(403, "permission_denied", "You may not do this.")
    return render(
        request, "site/problem.html", {"title": _("No permission"), "detail": _("You may not do this.")}, status=403
    )


@login_not_required
def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    detail = _("This form is out of date. Nothing was saved. Go back, reload the page and send it again.")
    if problems.is_api(request):
        return problems.response(403, "csrf_failed", detail)
    if not request.user.is_authenticated and request.path != resolve_url(settings.LOGIN_URL):
        return session_over(request)
    answer = render(request, "site/problem.html", {"title": _("Form out of date"), "detail": detail}, status=403)
    answer[SIGN_IN_HEADER] = "token"
    return answer
