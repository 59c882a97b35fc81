"""What pages ask: who may open them, and what of them is shown to whom."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext as _

from common.rights import Right, forbidden, may, rights_of
from common.web.refusals import refusal_html

View = Callable[..., HttpResponseBase]


def needs(*rights: Right, hidden: bool = False) -> Callable[[View], View]:
    """For a page, or the `dispatch` of one with `method_decorator`: 403 to those who have none of these rights.

    `hidden`: 404 instead, for what they shall not even know of.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if may(request.user, *rights):
                return view(request, *args, **kwargs)
            if hidden:
                raise Http404
            return refusal(request, rights[0])

        return guarded

    return decorate


def refusal(request: HttpRequest, right: Right) -> HttpResponse:
    """The page that says what is missing. Who may not even see the line is offered to sign in as somebody else."""
    context = {
        "title": _("No permission"),
        "detail": refusal_html(forbidden(right, request.user)),
        "sign_out": not may(request.user, Right.READ),
    }
    return render(request, "site/problem.html", context, status=403)


def rights(request: HttpRequest) -> dict[str, Any]:
    """Context processor: templates ask `{% if may.inspect %}`. Looked up when the first template does."""
    return {"may": SimpleLazyObject(lambda: dict.fromkeys(map(str, rights_of(request.user)), True))}
