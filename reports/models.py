"""Issued reports, their schedules, the messages that carry them, and issued statements."""

from __future__ import annotations

from reports.issued.models import IssuedReport
from reports.schedules.models import ReportMessage, ReportSchedule
from reports.statements.models import IssuedStatement

__all__ = ["IssuedReport", "IssuedStatement", "ReportMessage", "ReportSchedule"]
