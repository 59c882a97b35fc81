"""Pages of schedules: the list with a form for another one, and changing or ending one."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from common.errors import NotFound, UserError
from common.rights import Right, may
from common.web.decorators import needs, refusal
from modelzoo.models import Category
from modelzoo.selectors import find_category
from reports.content.scope import REGULAR, Kind, window_at
from reports.models import ReportSchedule
from reports.schedules import selectors, services


class ScheduleForm(forms.Form):
    kind = forms.ChoiceField(label=_("Report"))
    category = forms.ChoiceField(label=_("Category"), required=False)
    station = forms.CharField(label=_("Station"), required=False, max_length=100)
    recipients = forms.CharField(
        label=_("Recipients"), max_length=6000, widget=forms.TextInput({"autocomplete": "off", "inputmode": "email"})
    )

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        names = Category.objects.order_by("name").values_list("name", flat=True)[:200]
        field = self.fields["category"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", _("all")), *((name, name) for name in names)]
        field = self.fields["kind"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(str(kind), gettext(Kind(kind).label).capitalize()) for kind in REGULAR]

    def values(self) -> dict[str, Any]:
        fields = self.cleaned_data
        return fields | {
            "category": find_category(fields["category"]) if fields["category"] else None,
            "recipients": fields["recipients"].replace(";", ",").split(","),
        }


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Right.READ)
def schedules(request: HttpRequest) -> HttpResponse:
    """The schedules in force, with what became of their last reports."""
    if request.method == "POST" and not may(request.user, Right.TUNE):
        return refusal(request, Right.TUNE)
    form = ScheduleForm(request.POST or None)
    context: dict[str, Any] = {"form": form}
    status = HTTPStatus.OK
    if request.method == "POST":
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        try:
            if form.is_valid():
                services.set_schedule(actor=request.user, **form.values())
                messages.success(request, _("Saved. The first report comes when the present window is over."))
                return redirect("report-schedules")
        except UserError as error:
            context["failed"], status = error, error.status
    context["rows"] = [_row(schedule) for schedule in selectors.schedules()]
    return render(request, "reports/schedules.html", context, status=status)


def _row(schedule: ReportSchedule) -> dict[str, Any]:
    return {
        "schedule": schedule,
        "next_at": window_at(schedule.kind, schedule.next_from, schedule.category)[1],
        "last": selectors.last_report_of(schedule),
    }


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Right.TUNE)
def schedule(request: HttpRequest, schedule_id: int) -> HttpResponse:
    """Change one."""
    found = _find(schedule_id)
    initial = {
        "kind": found.kind,
        "category": found.category.name if found.category else "",
        "station": found.station,
        "recipients": ", ".join(found.recipients),
    }
    form = ScheduleForm(request.POST or None, initial=initial)
    context: dict[str, Any] = {"form": form, "schedule": found}
    if request.method != "POST":
        return render(request, "reports/schedule.html", context)
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    try:
        if form.is_valid():
            services.set_schedule(schedule=found, actor=request.user, **form.values())
            messages.success(request, _("Saved."))
            return redirect("report-schedules")
    except UserError as error:
        context["failed"], status = error, error.status
    return render(request, "reports/schedule.html", context, status=status)


@require_POST
@needs(Right.TUNE)
def end(request: HttpRequest, schedule_id: int) -> HttpResponse:
    services.end_schedule(schedule=_find(schedule_id), actor=request.user)
    messages.success(request, _("Ended. Reports that were issued stay."))
    return redirect("report-schedules")


def _find(schedule_id: int) -> ReportSchedule:
    try:
        return selectors.find_schedule(schedule_id)
    except NotFound as error:
        raise Http404(error.detail) from error
