"""A statement of inspection as a PDF file."""

from __future__ import annotations

from typing import Any

from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Paragraph, Spacer

from inspection.record import pdf
from reports.content.pdf import section_flowables
from reports.statements.sections import sections_of


def statement_pdf(document: dict[str, Any]) -> bytes:
    """The same document gives the same bytes."""
    story: list[Flowable] = [
        Paragraph(pdf.markup(document["title"]), pdf.TITLE),
        Spacer(1, 2 * mm),
        Paragraph(pdf.markup(document["statement"]), pdf.HEADING),
    ]
    for words in document["reservations"]:
        story += [Spacer(1, 1 * mm), Paragraph(pdf.markup(words), pdf.TEXT)]
    for section in sections_of(document):
        story += section_flowables(section)
    about = (
        "The audit event of this statement holds the SHA-256 of this file and of its JSON document. Compare it with "
        "sha256sum, and the hash of the event with the audit log."
    )
    story += [Spacer(1, 3 * mm), Paragraph(pdf.markup(about), pdf.SOFT_TEXT)]
    return pdf.document(story, title=document["title"])
