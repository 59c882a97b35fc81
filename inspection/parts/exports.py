"""Writes: taking records of parts out as a table, one line a part. That it was done is in the audit log before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from common.errors import UserError
from common.rights import Right, require
from inspection.csv_tables import DEFAULT_DIALECT, CsvTable, Dialect, find_dialect
from inspection.history.exports import Export
from inspection.models import Inspection, PartInspection
from inspection.parts import selectors
from inspection.parts.selectors import Part
from records.audit.services import Actor, audit

# Names stay what they are; new ones come at the end.
COLUMNS = (
    *("id", "part_id", "closed_at", "opened_at", "layout", "layout_revision", "outcome", "standing_outcome"),
    *("explanation", "station", "lot", "part_number", "serial_number", "source", "operator", "views", "inspections"),
)
_CHUNK = 200


def export_parts(*, filters: Mapping[str, str], actor: Actor, dialect: str = "") -> Export:
    """The records that are meant, newest first. `dialect`: see `inspection.csv_tables`."""
    require(actor, Right.EXPORT)
    outcome = filters.get("outcome", "")
    if outcome and outcome not in Inspection.Outcome.values:
        raise UserError(
            f"outcome must be one of {', '.join(Inspection.Outcome.values)}. Nothing was exported.",
            code="invalid_filter",
            parameter="outcome",
        )
    csv_dialect = find_dialect(dialect)
    rows = selectors.records(**filters)
    after = {"filters": dict(filters), "parts": rows.count(), "dialect": dialect or DEFAULT_DIALECT}
    with transaction.atomic():
        audit(kind="parts.exported", subject=("inspection.parts", ""), actor=actor, after=after)
    name = f"parts-{timezone.localtime():%Y-%m-%d-%H%M%S}.csv"
    return Export(name, "text/csv; charset=utf-8", _csv(rows, csv_dialect))


def _csv(rows: QuerySet[PartInspection], dialect: Dialect) -> Iterator[bytes]:
    table = CsvTable(dialect, COLUMNS)
    chunk: list[PartInspection] = []
    for row in rows.iterator(chunk_size=_CHUNK):
        chunk.append(row)
        if len(chunk) == _CHUNK:
            yield _lines(table, chunk, dialect)
            chunk = []
    yield _lines(table, chunk, dialect)


def _lines(table: CsvTable, rows: list[PartInspection], dialect: Dialect) -> bytes:
    for part in selectors.with_views(rows):
        table.write(_line(part, dialect))
    return table.take().encode()


def _line(part: Part, dialect: Dialect) -> list[Any]:
    record = part.record
    assert record is not None, "records alone are exported"
    return [
        str(record.pk),
        record.part_id,
        _moment(record.created_at, dialect),
        _moment(record.opened_at, dialect),
        record.layout_name,
        record.layout.revision,
        record.outcome,
        str(part.standing_outcome),
        record.explanation,
        record.station,
        record.lot,
        record.part_number,
        record.serial_number,
        record.source,
        record.operator.get_username() if record.operator else "",
        "; ".join(f"{view.view.name}: {view.standing_state}" for view in part.views),
        "; ".join(str(view.inspection.pk) if view.inspection else "-" for view in part.views),
    ]


def _moment(moment: datetime, dialect: Dialect) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if dialect.dates else moment.isoformat()
