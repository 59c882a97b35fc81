"""Reads: what the audit event of an issued report must say, for `verify_audit --records`."""

from __future__ import annotations

import hashlib
from typing import Any

from records.audit.chain.audited_rows import AuditedRows
from reports.models import IssuedReport

ISSUED = "report.issued"


def expected_report(report: IssuedReport) -> dict[str, Any]:
    """`after` of the event. The hashes are of the files as the row holds them: one changed byte shows."""
    return {
        "kind": report.kind,
        "category": report.category.name if report.category else "",
        "station": report.station,
        "lot": report.lot,
        "since": report.since.isoformat(),
        "until": report.until.isoformat(),
        "schedule": report.schedule_id,
        **{f"{form}_sha256": hashlib.sha256(report.file(form)).hexdigest() for form in ("json", "csv", "pdf")},
    }


REPORTS = AuditedRows(
    kind=ISSUED,
    object_type=IssuedReport._meta.label_lower,
    rows=lambda: IssuedReport.objects.select_related("category"),
    expected_after=expected_report,
)
