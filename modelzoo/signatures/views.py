"""The page of a category's signature rules."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from common.errors import UserError
from common.rights import Right
from common.web.decorators import needs
from modelzoo.signatures import pages, services
from modelzoo.signatures.selectors import Act, acts_to_sign, newest_rules
from modelzoo.views import MAX_REASON_LENGTH, category_or_404, reason_of


@require_http_methods(["GET", "HEAD", "POST"])
def signature_rules(request: HttpRequest, name: str) -> HttpResponseBase:
    """Which acts of a category need a signature; POST sets it."""
    return _set_rules(request, name) if request.method == "POST" else _rules(request, name)


@needs(Right.READ)
def _rules(request: HttpRequest, name: str, *, failed: UserError | None = None) -> HttpResponse:
    category = category_or_404(name)
    acts = _acts_of(request) if failed else acts_to_sign(category.pk)  # what was ticked stays
    context: dict[str, Any] = {
        "category": category,
        "acts": [(act, words, hint, act in acts) for act, (words, hint) in pages.ACTS.items()],
        "last": newest_rules(category.pk),
        "cannot_sign": pages.people_who_cannot_sign(),
        "failed": failed,
        "reason": request.POST.get("reason", "")[:MAX_REASON_LENGTH],
    }
    return render(request, "models/signature_rules.html", context, status=failed.status if failed else HTTPStatus.OK)


@needs(Right.ADMINISTER)
def _set_rules(request: HttpRequest, name: str) -> HttpResponseBase:
    category = category_or_404(name)
    try:
        services.set_signature_rules(
            category=category, acts=_acts_of(request), reason=reason_of(request), actor=request.user
        )
    except UserError as error:
        return _rules(request, name, failed=error)
    messages.success(
        request,
        _("The signature rules of %(category)s were saved. They apply from now on.") % {"category": category.name},
    )
    return redirect("signature-rules", name=category.name)


def _acts_of(request: HttpRequest) -> frozenset[Act]:
    return frozenset(act for act in Act if request.POST.get(act))
