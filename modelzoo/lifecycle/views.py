"""Pages of approvals and promotion gates."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from common.errors import UserError
from common.rights import Right
from common.web.decorators import needs
from modelzoo.lifecycle import services
from modelzoo.lifecycle.selectors import Gates, gates_in_force, newest_gates
from modelzoo.signatures.requests import form_signature
from modelzoo.signatures.selectors import Act
from modelzoo.views import MAX_REASON_LENGTH, category_or_404, model_page, reason_of, version_or_404

_SHARES = ("min_recall", "max_false_reject_rate", "min_lamp_tolerance", "max_error_increase")


@require_POST
@needs(Right.DEPLOY)
def approve(request: HttpRequest, version_id: int) -> HttpResponse:
    """Vouch for a version."""
    version = version_or_404(version_id)
    try:
        reason, signature = reason_of(request), form_signature(request, act=Act.APPROVAL, about=version)
        services.approve_version(version=version, reason=reason, actor=request.user, signature=signature)
    except UserError as error:
        return model_page(request, version_id, failed=error)
    messages.success(request, _("%(version)s is approved. It can be promoted to production.") % {"version": version})
    return redirect(reverse("model", args=[version_id]))


@require_POST
@needs(Right.DEPLOY)
def withdraw_approval(request: HttpRequest, version_id: int) -> HttpResponse:
    """Take an approval back."""
    version = version_or_404(version_id)
    try:
        reason, signature = reason_of(request), form_signature(request, act=Act.APPROVAL, about=version)
        services.withdraw_approval(version=version, reason=reason, actor=request.user, signature=signature)
    except UserError as error:
        return model_page(request, version_id, failed=error)
    messages.success(request, _("The approval of %(version)s was withdrawn.") % {"version": version})
    return redirect(reverse("model", args=[version_id]))


@require_http_methods(["GET", "HEAD", "POST"])
def promotion_gates(request: HttpRequest, name: str) -> HttpResponseBase:
    """What a version of a category must show before it may go into production; POST sets it."""
    return _set_gates(request, name) if request.method == "POST" else _gates(request, name)


@needs(Right.READ)
def _gates(request: HttpRequest, name: str, *, failed: UserError | None = None) -> HttpResponse:
    category = category_or_404(name)
    gates = gates_in_force(category.pk)
    values: dict[str, Any] = {share: _percent(getattr(gates, share)) for share in _SHARES}
    values |= {
        "dataset_name": gates.dataset_name,
        "refuse_shortcut_warning": gates.refuse_shortcut_warning,
        "verify_artifact": gates.verify_artifact,
        "min_challenger_images": gates.min_challenger_images or "",
    }
    if failed:  # what was typed stays
        values = {name: request.POST.get(name, "") for name in values}
    context = {
        "category": category,
        "values": values,
        "datasets": category.datasets.order_by("name").values_list("name", flat=True).distinct(),
        "last": newest_gates(category.pk),
        "failed": failed,
        "reason": request.POST.get("reason", "")[:MAX_REASON_LENGTH],
    }
    return render(request, "models/promotion_gates.html", context, status=failed.status if failed else HTTPStatus.OK)


@needs(Right.DEPLOY)
def _set_gates(request: HttpRequest, name: str) -> HttpResponseBase:
    category = category_or_404(name)
    try:
        gates = Gates(
            dataset_name=request.POST.get("dataset_name", ""),
            refuse_shortcut_warning=bool(request.POST.get("refuse_shortcut_warning")),
            verify_artifact=bool(request.POST.get("verify_artifact")),
            min_challenger_images=_whole_number(request.POST.get("min_challenger_images", "")),
            **{share: _share(request.POST.get(share, "")) for share in _SHARES},
        )
        services.set_promotion_gates(category=category, gates=gates, reason=reason_of(request), actor=request.user)
    except UserError as error:
        return _gates(request, name, failed=error)
    messages.success(
        request,
        _("The promotion gates of %(category)s were saved. They apply to the next promotion.")
        % {"category": category.name},
    )
    return redirect("promotion-gates", name=category.name)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:g}"


def _whole_number(text: str) -> int | None:
    """None where it is empty. Raises `UserError` for what is no whole number."""
    if not text.strip():
        return None
    if not text.strip().isdecimal() or len(text) > 9:
        raise UserError(f"{text[:50]!r} is not a whole number. Nothing was changed.", code="invalid")
    return int(text)


def _share(text: str) -> float | None:
    """Of per cent in a form; None where it is empty. Raises `UserError` for what is no number."""
    if not text.strip():
        return None
    try:
        return float(text) / 100
    except ValueError as error:
        raise UserError(f"{text[:50]!r} is not a number. Nothing was changed.", code="invalid") from error
