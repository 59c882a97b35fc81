"""The JSON shape of an issued report."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from reports.content.documents import scope_document
from reports.models import IssuedReport


def issued_document(report: IssuedReport) -> dict[str, Any]:
    return {
        "report_id": str(report.pk),
        "title": report.title,
        **scope_document(report.scope),
        "schedule": report.schedule_id,
        "issued_by": report.issued_by.get_username() if report.issued_by else None,
        "created_at": report.created_at.isoformat(),
        "messages": [
            {
                "target": message.target,
                "status": message.status,
                "attempts": message.attempts,
                "error": message.error,
                "sent_at": message.sent_at.isoformat() if message.sent_at else None,
            }
            for message in report.messages.all()
        ],
        **{f"{form}_url": reverse(f"issued-report-{form}", args=[report.pk]) for form in ("json", "csv", "pdf")},
    }
