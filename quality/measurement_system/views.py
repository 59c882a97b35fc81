"""Pages of measurement studies: the list with a form for another one, one study, and judging blind."""

from __future__ import annotations

import json
import uuid
from http import HTTPStatus
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_http_methods

from common.errors import NotFound, UserError
from common.rights import Right, may, roles_with
from common.web.decorators import needs, refusal
from modelzoo.models import Category
from quality.measurement_system import report, selectors, services
from quality.measurement_system.models import (
    MAX_NEAR,
    MAX_PARTS,
    MAX_TRIALS,
    MIN_NEAR,
    MIN_PARTS,
    MIN_TRIALS,
    MeasurementStudy,
)

_LATEST = 30


class StudyForm(forms.Form):
    category = forms.ModelChoiceField(Category.objects.order_by("name"), empty_label=None, label=_("Category"))
    appraisers = forms.ModelMultipleChoiceField(
        User.objects.none(), widget=forms.CheckboxSelectMultiple, label=_("Appraisers")
    )
    expert = forms.ModelChoiceField(
        User.objects.none(),
        required=False,
        empty_label=_("nobody: the settled reviews of the records"),
        label=_("Expert who gives the standard"),
    )
    part_count = forms.IntegerField(label=_("Parts"), min_value=MIN_PARTS, max_value=MAX_PARTS, initial=50)
    trials = forms.IntegerField(label=_("Trials of each person"), min_value=MIN_TRIALS, max_value=MAX_TRIALS, initial=3)
    near_percent = forms.IntegerField(
        label=_("Percent near the threshold"), min_value=MIN_NEAR, max_value=MAX_NEAR, initial=40
    )
    reason = forms.CharField(label=_("Reason"), max_length=500, widget=forms.TextInput({"autocomplete": "off"}))

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        people = User.objects.filter(is_active=True, groups__name__in=roles_with(Right.REVIEW)).distinct()
        for name in ("appraisers", "expert"):
            self.fields[name].queryset = people.order_by("username")  # type: ignore[attr-defined]


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Right.READ)
def studies(request: HttpRequest) -> HttpResponse:
    """The last studies, and a form for another one."""
    if request.method == "POST" and not may(request.user, Right.TUNE):
        return refusal(request, Right.TUNE)
    form = StudyForm(request.POST or None)
    context: dict[str, Any] = {"studies": selectors.studies()[:_LATEST], "form": form}
    status = HTTPStatus.UNPROCESSABLE_ENTITY if request.method == "POST" else HTTPStatus.OK
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        try:
            study = services.start_study(actor=request.user, **values | {"appraisers": list(values["appraisers"])})
        except UserError as error:
            return render(request, "quality/studies.html", context | {"failed": error}, status=error.status)
        messages.success(
            request,
            _("%(part_count)s parts were drawn. The people you named can begin.") % {"part_count": study.part_count},
        )
        return redirect("measurement-study", study.pk)
    return render(request, "quality/studies.html", context, status=status)


def _study_or_404(study_id: uuid.UUID) -> MeasurementStudy:
    try:
        return selectors.find_study(study_id)
    except NotFound as error:
        raise Http404(error.detail) from error


@require_GET
@needs(Right.READ)
def study(request: HttpRequest, study_id: uuid.UUID) -> HttpResponse:
    """How far a study is, or its results."""
    shown = _study_or_404(study_id)
    context: dict[str, Any] = {
        "study": shown,
        "progress": selectors.progress(shown),
        "task": selectors.next_task(shown, request.user),
    }
    if shown.is_finished:
        results = json.loads(shown.results)
        context |= {
            "results": results,
            "rows": [
                {
                    "name": row["name"],
                    "is_model": row["kind"] == "model",
                    "shares": [
                        report.share_text(row["against_standard"][name])
                        for name in ("effectiveness", "misses", "false_alarms")
                    ],
                    "kappa": report.kappa_text(row["against_standard"]),
                    "verdict": row["against_standard"]["verdict"],
                }
                for row in results["appraisers"]
            ],
            "agreement": report.agreement_rows(results),
        }
    return render(request, "quality/study.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Right.REVIEW)
def judge(request: HttpRequest, study_id: uuid.UUID) -> HttpResponse:
    """The next part for this person: its image, and nothing else; POST answers it."""
    shown = _study_or_404(study_id)
    failed: UserError | None = None
    if request.method == "POST":
        text = request.POST.get("task", "")
        try:
            services.answer(
                study=shown,
                task=int(text) if text.isascii() and text.isdigit() and len(text) < 9 else -1,
                verdict=request.POST.get("verdict", ""),
                actor=request.user,
            )
            return redirect("measurement-study-judge", shown.pk)
        except UserError as error:
            failed = error
    task = selectors.next_task(shown, request.user)
    context = {"study": shown, "task": task, "failed": failed}
    return render(request, "quality/judge.html", context, status=failed.status if failed else HTTPStatus.OK)
