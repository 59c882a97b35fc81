"""Reads: whether checks of reference parts are still what follows from part and record."""

from __future__ import annotations

from collections.abc import Iterator

from monitoring.models import ReferenceCheck
from monitoring.reference_parts.services import failure_of

_CHUNK = 500


def check_reference_checks() -> Iterator[tuple[int, list[str]]]:
    rows = ReferenceCheck.objects.select_related("part", "inspection").order_by("pk")
    for row in rows.iterator(chunk_size=_CHUNK):
        explanation = failure_of(row.part, row.inspection)
        expected = (not explanation, explanation, row.inspection.station, row.inspection.created_at)
        if (row.passed, row.explanation, row.station, row.checked_at) != expected:
            yield 1, [f"check {row.pk} of reference part {row.part.serial_number} is not what its record says"]
        else:
            yield 1, []
