"""Reads: issued reports."""

from __future__ import annotations

import uuid

from django.db.models import Prefetch, QuerySet

from common.errors import NotFound
from reports.models import IssuedReport, ReportMessage

ORDER = ("-created_at", "-id")


def reports() -> QuerySet[IssuedReport]:
    """Newest first, without their files."""
    messages = Prefetch("messages", ReportMessage.objects.order_by("target"))
    rows = IssuedReport.objects.select_related("category", "schedule", "issued_by").prefetch_related(messages)
    return rows.defer(*IssuedReport.FILES)


def find_report(report_id: uuid.UUID) -> IssuedReport:
    """With its files. Raises `NotFound`."""
    report = reports().defer(None).filter(pk=report_id).first()
    if report is None:
        raise NotFound(f"There is no issued report {report_id}.", code="report_not_found")
    return report
