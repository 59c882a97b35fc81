"""Pages of containments: the list with a form for another one, and one containment."""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_http_methods

from common.errors import NotFound, UserError
from common.rights import Right, may
from common.web.decorators import needs, refusal
from inspection.judging.selectors import find_inspection
from inspection.models import Inspection
from inspection.record.similar import MIN_LIKENESS
from modelzoo.selectors import find_version
from quality.containment import pages, selectors, services


class ContainmentForm(forms.Form):
    model_version = forms.TypedChoiceField(label=_("Score again with"), required=False, coerce=int, empty_value=None)
    min_likeness = forms.FloatField(label=_("Likeness of at least"), min_value=0, max_value=1, initial=MIN_LIKENESS)
    use_reference_parts = forms.BooleanField(
        label=_("Begin where the reference parts of a station had last passed"), required=False, initial=True
    )
    reason = forms.CharField(label=_("Reason"), max_length=500, widget=forms.TextInput({"autocomplete": "off"}))

    def __init__(self, escape: Inspection, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        versions = [(version.pk, str(version)) for version in pages.versions_for(escape.category_id)]
        field = self.fields["model_version"]
        assert isinstance(field, forms.TypedChoiceField)
        field.choices = [("", _("no other version")), *versions]


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Right.READ)
def containments(request: HttpRequest) -> HttpResponse:
    """The last containments. `?inspection=`: the escape that a form for another one is about."""
    if request.method == "POST" and not may(request.user, Right.TUNE):
        return refusal(request, Right.TUNE)
    escape = _escape(request)
    form = ContainmentForm(escape, request.POST or None) if escape else None
    context: dict[str, Any] = {"escape": escape, "form": form, "containments": pages.latest()}
    if escape and form and may(request.user, Right.TUNE):
        try:
            selectors.check_escape(escape)
            if request.method == "POST" and form.is_valid():
                return _start(request, escape, form.cleaned_data)
        except UserError as error:
            return render(request, "quality/containments.html", context | {"failed": error}, status=error.status)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if request.method == "POST" else HTTPStatus.OK
    return render(request, "quality/containments.html", context, status=status)


def _escape(request: HttpRequest) -> Inspection | None:
    text = request.GET.get("inspection", "")
    if not text:
        return None
    try:
        return find_inspection(uuid.UUID(text))
    except (ValueError, NotFound) as error:
        raise Http404("There is no such record.") from error


def _start(request: HttpRequest, escape: Inspection, values: dict[str, Any]) -> HttpResponse:
    version = find_version(reference=values["model_version"]) if values["model_version"] else None
    containment = services.request_containment(
        escape=escape,
        reason=values["reason"],
        actor=request.user,
        version=version,
        min_likeness=values["min_likeness"],
        use_reference_parts=values["use_reference_parts"],
    )
    messages.success(
        request,
        _("%(passed)s parts that passed are searched. The list appears below.") % {"passed": f"{containment.passed:,}"},
    )
    return redirect("containment", containment.pk)


@require_GET
@needs(Right.READ)
def containment(request: HttpRequest, containment_id: uuid.UUID) -> HttpResponse:
    """One containment: progress, then its list."""
    try:
        shown = selectors.find_containment(containment_id)
    except NotFound as error:
        raise Http404(error.detail) from error
    return render(request, "quality/containment.html", pages.containment_context(shown))
