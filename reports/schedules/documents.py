"""The JSON shape of a schedule."""

from __future__ import annotations

from typing import Any

from reports.content.scope import window_at
from reports.models import ReportSchedule


def schedule_document(schedule: ReportSchedule) -> dict[str, Any]:
    return {
        "id": schedule.pk,
        "kind": schedule.kind,
        "category": schedule.category.name if schedule.category else None,
        "station": schedule.station,
        "recipients": schedule.recipients,
        "next_since": schedule.next_from.isoformat(),
        "next_until": window_at(schedule.kind, schedule.next_from, schedule.category)[1].isoformat(),
        "error": schedule.error,
        "author": schedule.author.get_username() if schedule.author else None,
        "created_at": schedule.created_at.isoformat(),
    }
