"""Pages of reference parts."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_POST

from common.errors import NotFound, UserError
from common.rights import Right
from common.web.decorators import needs
from modelzoo.models import Category
from monitoring.models import ReferencePart
from monitoring.reference_parts import pages, selectors, services


class PartForm(forms.Form):
    category = forms.ModelChoiceField(Category.objects.order_by("name"), to_field_name="name", label=_("Category"))
    serial_number = forms.CharField(label=_("Serial number"), max_length=100)
    expected = forms.ChoiceField(label=_("Expected verdict"), choices=ReferencePart.Expected.choices)
    lowest_score = forms.FloatField(label=_("Lowest score (optional)"), required=False)
    highest_score = forms.FloatField(label=_("Highest score (optional)"), required=False)
    note = forms.CharField(label=_("What it is, and how that is known"), max_length=500)


@require_GET
@needs(Right.READ)
def reference_parts(request: HttpRequest) -> HttpResponse:
    return _list(request, PartForm())


@require_POST
@needs(Right.TUNE)
def add(request: HttpRequest) -> HttpResponse:
    """Name a part whose verdict is known."""
    form = PartForm(request.POST)
    if not form.is_valid():
        return _list(request, form, status=422)
    try:
        part = services.add_part(actor=request.user, **form.cleaned_data)
    except UserError as error:
        return _list(request, form, failed=error, status=error.status)
    messages.success(
        request,
        _("%(serial_number)s is a reference part. Inspect it at each station.") % {"serial_number": part.serial_number},
    )
    return redirect("reference-parts")


@require_GET
@needs(Right.READ)
def reference_part(request: HttpRequest, part_id: int) -> HttpResponse:
    return _one(request, _find(part_id))


@require_POST
@needs(Right.TUNE)
def retire(request: HttpRequest, part_id: int) -> HttpResponse:
    part = _find(part_id)
    try:
        services.retire_part(part=part, reason=request.POST.get("reason", ""), actor=request.user)
    except UserError as error:
        return _one(request, part, failed=error, status=error.status)
    messages.success(request, _("%(serial_number)s is retired.") % {"serial_number": part.serial_number})
    return redirect("reference-parts")


def _list(request: HttpRequest, form: PartForm, *, failed: UserError | None = None, status: int = 200) -> HttpResponse:
    context = {
        "parts": list(selectors.parts()[:200]),
        "states": selectors.all_states(),
        "form": form,
        "failed": failed,
    }
    return render(request, "monitoring/reference_parts.html", context, status=status)


def _one(
    request: HttpRequest, part: ReferencePart, *, failed: UserError | None = None, status: int = 200
) -> HttpResponse:
    checks = selectors.checks_of(part)
    context = {"part": part, "checks": checks, "chart": pages.score_chart(part, checks), "failed": failed}
    return render(request, "monitoring/reference_part.html", context, status=status)


def _find(part_id: int) -> ReferencePart:
    try:
        return selectors.find_part(part_id)
    except NotFound as error:
        raise Http404(error.detail) from error
