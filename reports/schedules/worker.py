"""What a worker does with reports on their way: it sends them, and tries again later what was not taken."""

from __future__ import annotations

import json

from django.conf import settings
from django.core.mail import EmailMessage
from django.urls import reverse

from jobs.outbox import send_due
from reports.content.sections import rate_text, window_text
from reports.issued.selectors import find_report
from reports.models import ReportMessage

MAX_ATTACHMENT = 10 * 1024**2  # bytes; mail servers refuse much more


def send_due_reports() -> int:
    """How many were taken."""
    return send_due(ReportMessage.objects.select_related("report"), _send)


def _send(message: ReportMessage) -> None:
    report = find_report(message.report_id)
    document = json.loads(report.document)
    counts, pdf = document["counts"], report.file("pdf")
    lines = [
        document["title"],
        window_text(document),
        "",
        f"Inspected: {counts['records']:,}",
        f"Defective: {counts['defective']:,}, {rate_text(counts['defect_rate'])}",
        f"Not comparable: {counts['not_comparable']:,}",
        "",
        settings.PUBLIC_URL + reverse("issued-report", args=[report.pk]),
    ]
    if len(pdf) > MAX_ATTACHMENT:
        lines.insert(-1, "The PDF file is too large for a message. It is at this address:")
    mail = EmailMessage(
        f"{document['title']}, {window_text(document)}",
        "\n".join(lines),
        to=[message.target],
        # The same in every attempt: a mail server that had taken one already shows it once.
        headers={"Message-ID": f"<{message.pk}@reports.inspection>"},
    )
    if len(pdf) <= MAX_ATTACHMENT:
        mail.attach(f"report-{document['kind']}-{report.since:%Y%m%d-%H%M}.pdf", pdf, "application/pdf")
    mail.send()
