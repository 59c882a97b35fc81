"""The page of one alarm, and what people do about it."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from common.errors import NotFound, UserError
from common.rights import Right
from common.web.decorators import needs
from monitoring.alarms import selectors, services
from monitoring.models import Alarm


@require_GET
@needs(Right.READ)
def alarm(request: HttpRequest, alarm_id: int) -> HttpResponse:
    return _page(request, _find(alarm_id))


@require_POST
@needs(Right.REVIEW)
def acknowledge(request: HttpRequest, alarm_id: int) -> HttpResponse:
    return _act(request, alarm_id, lambda found: services.acknowledge_alarm(alarm=found, actor=request.user))


@require_POST
@needs(Right.REVIEW)
def comment(request: HttpRequest, alarm_id: int) -> HttpResponse:
    text = request.POST.get("text", "")
    return _act(request, alarm_id, lambda found: services.comment_alarm(alarm=found, text=text, actor=request.user))


@require_POST
@needs(Right.TUNE)
def resolve(request: HttpRequest, alarm_id: int) -> HttpResponse:
    cause, is_new_normal = request.POST.get("cause", ""), request.POST.get("is_new_normal") == "yes"
    return _act(
        request,
        alarm_id,
        lambda found: services.resolve_alarm(alarm=found, cause=cause, is_new_normal=is_new_normal, actor=request.user),
    )


def _act(request: HttpRequest, alarm_id: int, act: Callable[[Alarm], object]) -> HttpResponse:
    found = _find(alarm_id)
    try:
        act(found)
    except UserError as error:
        return _page(request, _find(alarm_id), failed=error, status=error.status)
    messages.success(request, _("Saved."))
    return redirect("alarm", alarm_id)


def _page(request: HttpRequest, found: Alarm, *, failed: UserError | None = None, status: int = 200) -> HttpResponse:
    return render(request, "monitoring/alarm.html", {"alarm": found, "failed": failed}, status=status)


def _find(alarm_id: int) -> Alarm:
    try:
        return selectors.find_alarm(alarm_id)
    except NotFound as error:
        raise Http404(error.detail) from error
