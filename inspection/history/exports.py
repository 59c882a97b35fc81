"""Writes: taking records out as tables. That it was done is in the audit log before the first line leaves.

All forms are made a chunk at a time, so that a table of millions of lines takes no more memory than a small one.
"""

from __future__ import annotations

import io
import json
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.db.models import ExpressionWrapper, F, FloatField
from django.db.models.functions import Coalesce
from django.utils import timezone

from common.errors import UserError
from common.rights import Right, require
from inspection.csv_tables import DEFAULT_DIALECT, CsvTable, Dialect, find_dialect
from inspection.history.filters import Filters
from inspection.history.selectors import in_chunks
from inspection.models import Inspection
from records.audit.services import Actor, audit

# The columns' names and where a record has what stands there. Names stay what they are; new ones come at the end.
COLUMNS = {
    "inspection_id": "pk",
    "created_at": "created_at",
    "category": "category__name",
    "model_version": "model_version",
    "version_number": "model_version__number",
    "algorithm": "model_version__algorithm",
    "threshold_id": "threshold",
    "threshold_revision": "threshold__revision",
    "threshold": "threshold_value",
    "outcome": "outcome",
    "score": "score",
    "p_value": "p_value",
    "reason": "reason",
    "explanation": "explanation",
    "region_count": "region_count",
    "largest_region_px": "largest_region_px",
    "station": "station",
    "lot": "lot",
    "part_number": "part_number",
    "serial_number": "serial_number",
    "filename": "filename",
    "image_sha256": "asset__sha256",
    "source": "source",
    "operator": "operator__username",
    "batch_id": "request__batch",
    "device": "device",
    "worker": "worker",
    "code_version": "code_version",
    "backbone_sha256": "backbone_sha256",
    "review_verdict": "standing__verdict",
    "review_defect_type": "standing__defect_type",
    "reviewer": "standing__reviewer__username",
    "overruled": "standing__overruled",
    "contested": "standing__contested",
    "reviews": "standing__reviews",
    "review_comment": "standing__last_review__comment",
    "threshold_author": "threshold__author__username",
    "threshold_reason": "threshold__reason",
    "path": "request__path",
    "warnings": "input_findings",
    "standing_verdict": "current_verdict",
    "mm_per_px": "calibration__mm_per_px",
    "largest_region_mm2": "largest_mm2",
    "min_region_mm2": "threshold__min_region_mm2",
    "ignored_region_count": "ignored_region_count",
    "severity": "severity",
}
# What a part is taken for now: the word of the person that stands, else the model's.
_STANDING = Coalesce("standing__verdict", "outcome")
# Of the largest region; empty where the station had no calibration.
_LARGEST_MM2 = F("largest_region_px") * F("calibration__mm_per_px") * F("calibration__mm_per_px")
_SHEET_ROWS = 1_048_576  # with the line of names
_PART = 64 * 1024


@dataclass(frozen=True)
class Export:
    """A table on its way: what a browser calls it, and its bytes, which are made while they are read."""

    filename: str
    media_type: str
    content: Iterator[bytes]


def export_inspections(*, filters: Filters, form: str, actor: Actor, dialect: str = "") -> Export:
    """The records that are meant, newest first, as `csv`, `jsonl` or `xlsx`. `dialect`: see `inspection.csv_tables`."""
    require(actor, Right.EXPORT)
    if form not in FORMS:
        raise UserError(f"format must be one of {', '.join(FORMS)}. Nothing was exported.", code="invalid")
    media_type, write = FORMS[form]
    csv_dialect = find_dialect(dialect, form=form)
    details: dict[str, Any] = {"format": form, "filters": filters.as_dict()}
    details["records"] = filters.apply(Inspection.objects.order_by()).count()
    if form == "csv":
        details["dialect"] = dialect or DEFAULT_DIALECT
    with transaction.atomic():
        audit(
            kind="inspections.exported",
            subject=("inspection.history", ""),
            actor=actor,
            after=details,
        )
    suffix = f"-{dialect}" if dialect else ""
    name = f"inspections-{timezone.localtime():%Y-%m-%d-%H%M%S}{suffix}.{form}"
    return Export(name, media_type, write(_rows(filters), csv_dialect))


def _rows(filters: Filters) -> Iterator[tuple[Any, ...]]:
    """One tuple a record, in the order of the columns, of plain values."""
    for chunk in in_chunks(filters):
        records = Inspection.objects.filter(pk__in=[row.pk for row in chunk]).order_by()
        records = records.annotate(
            current_verdict=_STANDING, largest_mm2=ExpressionWrapper(_LARGEST_MM2, output_field=FloatField())
        )
        values_by_id = {values[0]: values for values in records.values_list(*COLUMNS.values())}
        for row in chunk:
            yield tuple(_plain(value) for value in values_by_id[row.pk])


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):  # input findings
        return " ".join(f"{finding['code']}: {finding['explanation']}" for finding in value)
    return str(value) if isinstance(value, uuid.UUID) else value


def _csv(rows: Iterator[tuple[Any, ...]], dialect: Dialect) -> Iterator[bytes]:
    table = CsvTable(dialect, COLUMNS)
    for row in rows:
        table.write([*row[:_MOMENT], _date(row[_MOMENT]), *row[_MOMENT + 1 :]] if dialect.dates else row)
        if len(table) > _PART:
            yield table.take().encode()
    yield table.take().encode()


def _date(moment: str) -> str:
    return f"{datetime.fromisoformat(moment).astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _jsonl(rows: Iterator[tuple[Any, ...]], dialect: Dialect) -> Iterator[bytes]:
    text = io.StringIO()
    for row in rows:
        json.dump(dict(zip(COLUMNS, row, strict=True)), text, ensure_ascii=False, separators=(",", ":"))
        text.write("\n")
        if text.tell() > _PART:
            yield _flush(text)
    yield _flush(text)


def _flush(text: io.StringIO) -> bytes:
    """What was written so far; the buffer is empty again."""
    written = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return written


def _xlsx(rows: Iterator[tuple[Any, ...]], dialect: Dialect) -> Iterator[bytes]:
    """A workbook can be read only when it is whole: it is written to a file that nobody else sees, then sent.

    Its texts are texts and never formulas or links, whatever they begin with.
    """
    import xlsxwriter

    with tempfile.TemporaryFile() as file, tempfile.TemporaryDirectory() as folder:
        options = {
            "constant_memory": True,
            "tmpdir": folder,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "nan_inf_to_errors": True,
        }
        with xlsxwriter.Workbook(file, options) as book:
            moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
            sheet, line = _new_sheet(book), 1
            for row in rows:
                if line == _SHEET_ROWS:
                    sheet.autofilter(0, 0, line - 1, len(COLUMNS) - 1)
                    sheet, line = _new_sheet(book), 1
                sheet.write_row(line, 0, row)
                at = datetime.fromisoformat(row[_MOMENT]).astimezone(UTC)
                sheet.write_datetime(line, _MOMENT, at.replace(tzinfo=None), moment)  # a workbook knows no zones
                line += 1
            sheet.autofilter(0, 0, line - 1, len(COLUMNS) - 1)
        file.seek(0)
        while part := file.read(_PART):
            yield part


def _new_sheet(book: Any) -> Any:
    number = len(book.worksheets()) + 1
    sheet = book.add_worksheet("Inspections" if number == 1 else f"Inspections {number}")
    sheet.freeze_panes(1, 0)
    for column, name in enumerate(COLUMNS):
        sheet.set_column(column, column, _WIDTHS.get(name, max(10, len(name) + 3)))
    bold = book.add_format({"bold": True})
    sheet.write_row(0, 0, COLUMNS, bold)
    return sheet


# Characters; of the others their names are the widest.
_WIDTHS = {"inspection_id": 37, "created_at": 19, "filename": 32, "image_sha256": 24, "batch_id": 24}
_WIDTHS |= {
    "path": 40,
    "warnings": 48,
    "explanation": 40,
    "review_comment": 48,
    "threshold_reason": 48,
    "serial_number": 18,
    "code_version": 16,
}
_MOMENT = list(COLUMNS).index("created_at")


FORMS: dict[str, tuple[str, Callable[[Iterator[tuple[Any, ...]], Dialect], Iterator[bytes]]]] = {
    "csv": ("text/csv; charset=utf-8", _csv),
    "jsonl": ("application/x-ndjson", _jsonl),
    "xlsx": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", _xlsx),
}
