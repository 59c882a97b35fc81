"""A report as a CSV file: each figure by itself, with all its digits."""

from __future__ import annotations

from typing import Any

from inspection.csv_tables import DIALECTS, CsvTable
from reports.content.sections import figures_of, sections_of, window_text

_COLUMNS = ("section", "row", "about", "figure", "value")


def report_csv(document: dict[str, Any]) -> bytes:
    """The same document gives the same bytes."""
    table = CsvTable(DIALECTS["excel"], _COLUMNS)
    head = (
        ("Report", document["title"]),
        ("Window", window_text(document)),
        ("Since", document["since"]),
        ("Until", document["until"]),
        ("Made at", document["made_at"]),
    )
    for name, text in head:
        table.write(["Report", 0, "", name, text])
    for figure in figures_of(sections_of(document)):
        table.write(figure)
    return table.take().encode()
