"""Pages of challengers: the list with a form for another one, and one challenger."""

from __future__ import annotations

import uuid
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
from modelzoo.selectors import find_version
from modelzoo.views import reason_of
from rollout.challengers import pages, selectors, services
from rollout.models import Challenger


class ChallengerForm(forms.Form):
    model_version = forms.TypedChoiceField(label=_("Challenger"), coerce=int)
    share = forms.FloatField(label=_("Share of the live images (%)"), min_value=0.01, max_value=100, initial=100)
    max_images = forms.IntegerField(
        label=_("Ends after so many images (optional)"), min_value=1, max_value=10**9, required=False
    )
    reason = forms.CharField(label=_("Reason"), max_length=500, widget=forms.TextInput({"autocomplete": "off"}))

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        field = self.fields["model_version"]
        assert isinstance(field, forms.TypedChoiceField)
        field.choices = [(version.pk, str(version)) for version in pages.startable_versions()]


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Right.READ)
def challengers(request: HttpRequest) -> HttpResponse:
    """The last challengers. `?model_version=`: the version that the form for another one proposes."""
    if request.method != "POST":
        return _list(request, ChallengerForm(initial={"model_version": request.GET.get("model_version", "")}))
    if not may(request.user, Right.TUNE):
        return refusal(request, Right.TUNE)
    form = ChallengerForm(request.POST)
    if not form.is_valid():
        return _list(request, form, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    values = form.cleaned_data
    try:
        started = services.start_challenger(
            version=find_version(reference=values["model_version"]),
            reason=values["reason"],
            share=values["share"] / 100,
            max_images=values["max_images"],
            actor=request.user,
        )
    except UserError as error:
        return _list(request, form, failed=error, status=error.status)
    messages.success(
        request,
        _("%(model_version)s scores every new image beside production. It decides nothing.")
        % {"model_version": started.model_version},
    )
    return redirect("challenger", started.pk)


@require_GET
@needs(Right.READ)
def challenger(request: HttpRequest, challenger_id: uuid.UUID) -> HttpResponse:
    """Both versions beside each other. `?show=all`: disagreements that somebody looked at, too."""
    return _one(request, _find(challenger_id))


@require_POST
@needs(Right.TUNE)
def stop(request: HttpRequest, challenger_id: uuid.UUID) -> HttpResponse:
    found = _find(challenger_id)
    try:
        services.stop_challenger(challenger=found, reason=reason_of(request), actor=request.user)
    except UserError as error:
        return _one(request, found, failed=error)
    messages.success(
        request,
        _("The challenger %(model_version)s was stopped. Its results stay.") % {"model_version": found.model_version},
    )
    return redirect("challenger", challenger_id)


@require_POST
@needs(Right.REVIEW)
def mark(request: HttpRequest, result_id: int) -> HttpResponse:
    """Somebody looked at a disagreement."""
    try:
        result = selectors.find_result(result_id)
    except NotFound as error:
        raise Http404(error.detail) from error
    try:
        services.mark_disagreement(result=result, actor=request.user, comment=request.POST.get("comment", ""))
    except UserError as error:
        return _one(request, _find(result.challenger_id), failed=error)
    return redirect("challenger", result.challenger_id)


def _list(
    request: HttpRequest, form: ChallengerForm, *, failed: UserError | None = None, status: int = HTTPStatus.OK
) -> HttpResponse:
    context = pages.list_context() | {"form": form, "failed": failed}
    return render(request, "rollout/challengers.html", context, status=status)


def _one(request: HttpRequest, found: Challenger, *, failed: UserError | None = None) -> HttpResponse:
    show = "all" if request.GET.get("show") == "all" else "open"
    context = pages.challenger_context(found, show=show) | {"failed": failed}
    return render(request, "rollout/challenger.html", context, status=failed.status if failed else HTTPStatus.OK)


def _find(challenger_id: uuid.UUID) -> Challenger:
    try:
        return selectors.find_challenger(challenger_id)
    except NotFound as error:
        raise Http404(error.detail) from error
