"""Pages of drift: the monitors, and the charts of one."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from common.errors import NotFound, UserError
from common.rights import Right
from common.web.decorators import needs
from modelzoo.selectors import active_canaries
from monitoring.alarms.selectors import alarms
from monitoring.drift import pages, selectors, services
from monitoring.models import DriftMonitor

_ALARMS = 20


@require_GET
@needs(Right.READ)
def monitoring(request: HttpRequest) -> HttpResponse:
    """The state of every station, unresolved alarms, and the last resolved ones."""
    context = {
        "monitors": list(selectors.monitors()[:200]),
        "unresolved": list(alarms(status="unresolved")[:200]),
        "resolved": list(alarms(status="resolved")[:_ALARMS]),
    }
    return render(request, "monitoring/list.html", context)


@require_GET
@needs(Right.READ)
def monitor(request: HttpRequest, monitor_id: int) -> HttpResponse:
    return _page(request, _find(monitor_id))


@require_POST
@needs(Right.TUNE)
def restart(request: HttpRequest, monitor_id: int) -> HttpResponse:
    """All charts begin anew with the next parts."""
    found = _find(monitor_id)
    try:
        services.restart_monitor(monitor=found, reason=request.POST.get("reason", ""), actor=request.user)
    except UserError as error:
        return _page(request, found, failed=error, status=error.status)
    messages.success(request, _("The next 100 parts of this station become the new reference."))
    return redirect("drift-monitor", monitor_id)


def _page(
    request: HttpRequest, found: DriftMonitor, *, failed: UserError | None = None, status: int = 200
) -> HttpResponse:
    canaries = active_canaries(category_id=found.category_id) if found.station else []
    canary = next((one for one in canaries if one.station == found.station), None)
    context = {"monitor": found, "rows": pages.chart_rows(found), "canary": canary, "failed": failed}
    return render(request, "monitoring/drift.html", context, status=status)


def _find(monitor_id: int) -> DriftMonitor:
    try:
        return selectors.find_monitor(monitor_id)
    except NotFound as error:
        raise Http404(error.detail) from error
