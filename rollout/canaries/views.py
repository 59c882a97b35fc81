"""Pages of canaries: the list with a form for another one, and one beside production."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from common.errors import NotFound, UserError
from common.rights import Right, may
from common.web.decorators import needs, refusal
from modelzoo import services
from modelzoo.loading.deployments import await_deployment
from modelzoo.models import Deployment
from modelzoo.selectors import find_version
from modelzoo.signatures.requests import form_signature
from modelzoo.signatures.selectors import Act
from modelzoo.views import reason_of
from rollout.canaries import selectors
from rollout.challengers.pages import counts_row, startable_versions

_LATEST = 50


class CanaryForm(forms.Form):
    model_version = forms.TypedChoiceField(label=_("Version"), coerce=int)
    station = forms.CharField(label=_("Station"), max_length=100, widget=forms.TextInput({"autocomplete": "off"}))
    reason = forms.CharField(label=_("Reason"), max_length=500, widget=forms.TextInput({"autocomplete": "off"}))

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        field = self.fields["model_version"]
        assert isinstance(field, forms.TypedChoiceField)
        field.choices = [(version.pk, str(version)) for version in startable_versions()]


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Right.READ)
def canaries(request: HttpRequest) -> HttpResponse:
    """The last canaries. `?model_version=`: the version that the form for another one proposes."""
    if request.method != "POST":
        return _list(request, CanaryForm(initial={"model_version": request.GET.get("model_version", "")}))
    if not may(request.user, Right.DEPLOY):
        return refusal(request, Right.DEPLOY)
    form = CanaryForm(request.POST)
    if not form.is_valid():
        return _list(request, form, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    values = form.cleaned_data
    try:
        version = find_version(reference=values["model_version"])
        signature = form_signature(request, act=Act.PROMOTION, about=version)
        deployment = await_deployment(
            deployment=services.request_canary(
                version=version,
                station=values["station"],
                reason=values["reason"],
                actor=request.user,
                signature=signature,
            )
        )
    except UserError as error:
        return _list(request, form, failed=error, status=error.status)
    messages.success(
        request,
        _("%(model_version)s judges the images of station %(station)s from the next one on.")
        % {"model_version": deployment.model_version, "station": deployment.station},
    )
    return redirect("canary", deployment.pk)


@require_GET
@needs(Right.READ)
def canary(request: HttpRequest, deployment_id: int) -> HttpResponse:
    return _one(request, _find(deployment_id))


@require_POST
@needs(Right.DEPLOY)
def end(request: HttpRequest, deployment_id: int) -> HttpResponse:
    """Give the station back to production."""
    found = _find(deployment_id)
    try:
        services.end_canary(canary=found, reason=reason_of(request), actor=request.user)
    except UserError as error:
        return _one(request, found, failed=error)
    messages.success(
        request,
        _("Production judges the images of station %(station)s from the next one on.") % {"station": found.station},
    )
    return redirect("canary", deployment_id)


def _list(
    request: HttpRequest, form: CanaryForm, *, failed: UserError | None = None, status: int = HTTPStatus.OK
) -> HttpResponse:
    context = {"canaries": selectors.canaries()[:_LATEST], "form": form, "failed": failed}
    return render(request, "rollout/canaries.html", context, status=status)


def _one(request: HttpRequest, found: Deployment, *, failed: UserError | None = None) -> HttpResponse:
    comparison = selectors.comparison_of(found)
    rows = [
        counts_row(_("Canary v%(number)s") % {"number": found.model_version.number}, comparison.canary),
        counts_row(str(_("Other stations")), comparison.elsewhere),
        counts_row(str(_("This station before")), comparison.before),
    ]
    context = {"canary": found, "columns": rows, "failed": failed}
    return render(request, "rollout/canary.html", context, status=failed.status if failed else HTTPStatus.OK)


def _find(deployment_id: int) -> Deployment:
    try:
        return selectors.find_canary(deployment_id)
    except NotFound as error:
        raise Http404(error.detail) from error
