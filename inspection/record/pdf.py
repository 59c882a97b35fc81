"""How PDF documents of records look: one font, which is in the file itself, and rows under headings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from io import BytesIO
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, KeepTogether, LongTable, Paragraph, SimpleDocTemplate, Table, TableStyle

from common.version import PRODUCT

WIDTH = A4[0] - 36 * mm - 12  # inside the margins and the frame's own padding
INK, SOFT, LINE = colors.HexColor("#191d23"), colors.HexColor("#545c68"), colors.HexColor("#c5cad2")

# A font that is in the file itself: every reader shows the same.
FONT, BOLD = "Vera", "Vera-Bold"
pdfmetrics.registerFont(TTFont(FONT, "Vera.ttf"))
pdfmetrics.registerFont(TTFont(BOLD, "VeraBd.ttf"))

TEXT = ParagraphStyle("text", fontName=FONT, fontSize=8, leading=11, textColor=INK, wordWrap="CJK")
SOFT_TEXT = ParagraphStyle("soft", parent=TEXT, textColor=SOFT)
TITLE = ParagraphStyle("title", parent=TEXT, fontName=BOLD, fontSize=15, leading=20)
HEADING = ParagraphStyle("heading", parent=TEXT, fontName=BOLD, fontSize=9, leading=12, spaceBefore=7, spaceAfter=2)


def draw_foot(canvas: Canvas, words: str) -> None:
    """What it is, and the number of the page."""
    canvas.saveState()
    canvas.setFont(FONT, 7)
    canvas.setFillColor(SOFT)
    canvas.drawString(18 * mm, 10 * mm, words)
    canvas.drawRightString(A4[0] - 18 * mm, 10 * mm, f"page {canvas.getPageNumber()}")
    canvas.restoreState()


def document(story: list[Flowable], *, title: str) -> bytes:
    """The file. The same story gives the same bytes: nothing in it comes from the clock or from chance."""
    out = BytesIO()
    template = SimpleDocTemplate(
        out,
        pagesize=A4,
        leftMargin=18 * mm,
        rightMargin=18 * mm,
        topMargin=15 * mm,
        bottomMargin=18 * mm,
        title=title,
        author=PRODUCT,
        invariant=1,
    )

    def foot(canvas: Canvas, _: SimpleDocTemplate) -> None:
        draw_foot(canvas, title)

    template.build(story, onFirstPage=foot, onLaterPages=foot)
    return out.getvalue()


def table(columns: Sequence[tuple[str, float]], rows: Iterable[Sequence[str]]) -> Flowable:
    """A table that may be longer than a page. `columns`: their headings and widths in millimetres."""
    cells = [[Paragraph(markup(name), SOFT_TEXT) for name, _ in columns]]
    cells += [[Paragraph(markup(text), TEXT) for text in row] for row in rows]
    flowable = LongTable(cells, colWidths=[width * mm for _, width in columns], repeatRows=1, hAlign="LEFT")
    look = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 1.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
    ]
    flowable.setStyle(TableStyle(look))
    return flowable


def section(title: str, rows: Sequence[tuple[str, str]]) -> list[Flowable]:
    first = 42 * mm
    cells = [[Paragraph(markup(name), SOFT_TEXT), Paragraph(markup(value), TEXT)] for name, value in rows]
    # A comment may be longer than a page.
    table = Table(cells, colWidths=[first, WIDTH - first], splitInRow=1)
    look = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (0, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 1.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
        ("LINEABOVE", (0, 0), (-1, 0), 0.7, LINE),
    ]
    table.setStyle(TableStyle(look))
    # A long thread of reviews may break between pages, a heading never stands alone.
    heading = Paragraph(title, HEADING)
    return [KeepTogether([heading, table])] if len(rows) <= 8 else [heading, table]


def moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def markup(text: str) -> str:
    """As markup; what the font has no picture of is named, so that nothing is lost."""
    text = "\n".join(text.splitlines())  # browsers send the line breaks of a text area as two signs
    glyphs = pdfmetrics.getFont(FONT).face.charToGlyph
    words = "".join(sign if ord(sign) in glyphs or sign == "\n" else f"[U+{ord(sign):04X}]" for sign in text)
    return escape(words).replace("\n", "<br/>")
