"""A report as a PDF file."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Image, KeepTogether, Paragraph, Spacer, Table, TableStyle

from common.errors import UserError
from inspection.judging.documents import VERDICT_WORDS
from inspection.judging.pictures import small_with_heat
from inspection.judging.selectors import inspections
from inspection.record import pdf
from reports.content.sections import Section, moment_text, rate_text, sections_of, window_text

_COLUMNS = 4  # of pictures
_SIDE = 40 * mm
_GONE = "The image is not there: retention removed it, or its file cannot be read."


def pictures_of(document: dict[str, Any]) -> dict[str, bytes]:
    """The worst images with their anomaly maps, by the id of the record.

    Those that retention removed, or whose file cannot be read, are left out: a report is more than its pictures.
    """
    ids = [uuid.UUID(row["inspection_id"]) for row in document["worst"]]
    pictures = {}
    for record in inspections().filter(pk__in=ids):
        try:
            pictures[str(record.pk)] = small_with_heat(record).data
        except (UserError, OSError):
            continue
    return pictures


def report_pdf(document: dict[str, Any], pictures: Mapping[str, bytes]) -> bytes:
    """The same document and pictures give the same bytes."""
    counts = document["counts"]
    story: list[Flowable] = [
        Paragraph(pdf.markup(document["title"]), pdf.TITLE),
        Paragraph(pdf.markup(window_text(document)), pdf.SOFT_TEXT),
        Spacer(1, 2 * mm),
        Paragraph(
            pdf.markup(
                f"{counts['records']:,} inspected, {counts['defective']:,} defective: "
                f"{rate_text(counts['defect_rate'])}"
            ),
            pdf.TEXT,
        ),
    ]
    for section in sections_of(document):
        story += section_flowables(section)
        if section.name == "worst":
            story += _pictures(document["worst"], pictures)
    made = f"Made {moment_text(document['made_at'])} ({document['time_zone']})"
    story += [Spacer(1, 3 * mm), Paragraph(pdf.markup(made), pdf.SOFT_TEXT)]
    return pdf.document(story, title=document["title"])


def section_flowables(section: Section) -> list[Flowable]:
    facts = [(name, cell.text) for name, cell in section.facts]
    heading = Paragraph(pdf.markup(section.title), pdf.HEADING)
    parts: list[Flowable] = pdf.section(section.title, facts) if facts else []
    if section.rows:
        columns = list(zip(section.columns, _widths(section), strict=True))
        rows = [[cell.text for cell in row] for row in section.rows]
        parts += [pdf.table(columns, rows)] if facts else [heading, pdf.table(columns, rows)]
    elif section.empty:
        nothing = Paragraph(pdf.markup(section.empty), pdf.TEXT)
        parts += [nothing] if facts else [KeepTogether([heading, nothing])]
    return [*parts, *(Paragraph(pdf.markup(note), pdf.SOFT_TEXT) for note in section.notes)]


def _widths(section: Section) -> list[float]:
    """Columns of numbers are narrow; what is left is shared by how long the texts are."""
    shares = []
    for place, name in enumerate(section.columns):
        longest = max(len(row[place].text) for row in section.rows)
        shares.append(min(max(longest, len(name) * 0.7, 5), 34) ** 0.8)
    return [pdf.WIDTH / mm * share / sum(shares) for share in shares]


def _pictures(worst: list[dict[str, Any]], pictures: Mapping[str, bytes]) -> list[Flowable]:
    cells: list[list[Flowable]] = []
    for row in worst:
        data = pictures.get(row["inspection_id"])
        words = (
            f"{row['filename']}: {row['score_by_threshold']:.2f} times the threshold, {VERDICT_WORDS[row['outcome']]}"
        )
        picture = (
            _picture(data)
            if data
            else Paragraph("The image is not there: retention removed it, or its file cannot be read.", pdf.SOFT_TEXT)
        )
        cells.append([picture, Paragraph(pdf.markup(words), pdf.SOFT_TEXT)])
    if not cells:
        return []
    rows = [cells[begin : begin + _COLUMNS] for begin in range(0, len(cells), _COLUMNS)]
    rows = [[*row, *[[]] * (_COLUMNS - len(row))] for row in rows]
    table = Table(rows, colWidths=[pdf.WIDTH / _COLUMNS] * _COLUMNS, hAlign="LEFT")
    table.setStyle(TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)]))
    return [Spacer(1, 2 * mm), table]


def _picture(data: bytes) -> Flowable:
    picture = Image(BytesIO(data), hAlign="LEFT")
    scale = min(_SIDE / picture.imageWidth, _SIDE / picture.imageHeight)
    picture.drawWidth, picture.drawHeight = picture.imageWidth * scale, picture.imageHeight * scale
    return picture
