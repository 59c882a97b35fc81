"""Issued reports, their schedules, and the messages that carry them."""

from __future__ import annotations

from reports.issued.models import IssuedReport
from reports.schedules.models import ReportMessage, ReportSchedule

__all__ = ["IssuedReport", "ReportMessage", "ReportSchedule"]
