"""Reads: schedules."""

from __future__ import annotations

from django.db.models import QuerySet

from common.errors import NotFound
from reports.issued.selectors import reports
from reports.models import IssuedReport, ReportSchedule


def schedules() -> QuerySet[ReportSchedule]:
    """Those in force, newest first."""
    return ReportSchedule.objects.select_related("category", "author").filter(ended_at__isnull=True).order_by("-pk")


def find_schedule(schedule_id: int) -> ReportSchedule:
    """Raises `NotFound`, also for one that was ended."""
    schedule = schedules().filter(pk=schedule_id).first()
    if schedule is None:
        raise NotFound(f"There is no schedule {schedule_id}.", code="schedule_not_found")
    return schedule


def last_report_of(schedule: ReportSchedule) -> IssuedReport | None:
    return reports().filter(schedule=schedule).order_by("-since").first()
