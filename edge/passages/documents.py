"""The JSON shape of counters and passages."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from edge.passages.models import Passage, PassageCounter
from edge.passages.services import Reported


def counter_document(counter: PassageCounter) -> dict[str, Any]:
    return {
        "counter_id": counter.pk,
        "station": counter.station,
        "source": counter.source,
        "connection_id": counter.connection_id,
        "counter": counter.value,
        "counter_first": counter.first_value,
        "counter_last": counter.last_value,
        "passed_at": counter.passed_at.isoformat() if counter.passed_at else None,
        "created_at": counter.created_at.isoformat(),
    }


def passage_document(passage: Passage) -> dict[str, Any]:
    return {
        "counter": passage.value,
        "run": passage.run,
        "serial_number": passage.serial_number,
        "passed_at": passage.passed_at.isoformat(),
        "reported_at": passage.reported_at.isoformat(),
    }


def reported_document(reported: Reported) -> dict[str, Any]:
    return asdict(reported)
