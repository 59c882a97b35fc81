"""Writes: issuing a report. It is made first, without holding anything, and written in one step."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import override

from common.rights import Right, require
from modelzoo.services import actor_id
from records.audit.services import Actor, audit
from records.models import canonical
from reports.content.documents import report_document
from reports.content.pdf import pictures_of, report_pdf
from reports.content.scope import Scope
from reports.content.table import report_csv
from reports.issued.audited_rows import ISSUED, expected_report
from reports.models import IssuedReport, ReportSchedule


@dataclass(frozen=True)
class ReportFiles:
    """A report in all its forms, as it is at one moment."""

    made_at: datetime
    document: str
    table: str
    pdf: bytes


@override("en")  # a document is the same whoever asks for it
def make_files(scope: Scope) -> ReportFiles:
    now = timezone.now()
    document: dict[str, Any] = report_document(scope, now=now)
    pdf = report_pdf(document, pictures_of(document))
    return ReportFiles(now, canonical(document), report_csv(document).decode(), pdf)


def issue_report(*, scope: Scope, actor: Actor) -> IssuedReport:
    """Freeze a report as it is now. Raises `Forbidden`."""
    require(actor, Right.EXPORT)
    return write_report(scope=scope, files=make_files(scope), actor=actor)


@transaction.atomic
def write_report(
    *, scope: Scope, files: ReportFiles, actor: Actor, schedule: ReportSchedule | None = None
) -> IssuedReport:
    """The row and its audit event, which holds the hashes of the files."""
    report = IssuedReport.objects.create(
        kind=scope.kind,
        category=scope.category,
        station=scope.station,
        lot=scope.lot,
        since=scope.since,
        until=scope.until,
        document=files.document,
        table=files.table,
        pdf=files.pdf,
        schedule=schedule,
        issued_by_id=actor_id(actor),
        created_at=files.made_at,
    )
    audit(kind=ISSUED, subject=report, actor=actor, after=expected_report(report))
    return report
