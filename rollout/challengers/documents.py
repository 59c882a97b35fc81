"""The JSON shapes of challengers and their results, and the results as a CSV file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.urls import reverse

from inspection.csv_tables import CsvTable, Dialect
from rollout.challengers import selectors
from rollout.challengers.selectors import Counts
from rollout.models import Challenger, ChallengerResult

_COLUMNS = (
    *("inspection_id", "inspected_at", "station", "part_number", "lot", "serial_number", "file", "image_sha256"),
    *("production_outcome", "production_score", "production_threshold"),
    *("challenger_outcome", "challenger_score", "challenger_threshold", "reason", "error_code"),
    *("disagrees", "distance", "review", "looked_at_by", "comment"),
)
_CHUNK = 500


def challenger_document(challenger: Challenger) -> dict[str, Any]:
    """What was asked for, and how far it is."""
    return {
        "challenger_id": str(challenger.pk),
        "url": reverse("api-challenger", args=[challenger.pk]),
        "category": challenger.category.name,
        "model_version": challenger.model_version_id,
        "version_number": challenger.model_version.number,
        "production": challenger.production_id,
        "production_number": challenger.production.number,
        "status": challenger.status,
        "share": challenger.share,
        "max_images": challenger.max_images,
        "reason": challenger.reason,
        "end_reason": challenger.end_reason,
        "seen": challenger.seen,
        "scored": challenger.scored,
        "disagreements": challenger.disagreements,
        "failed": challenger.failed,
        "discarded": challenger.discarded,
        "requested_by": challenger.requested_by.get_username() if challenger.requested_by else None,
        "created_at": challenger.created_at.isoformat(),
        "finished_at": challenger.finished_at.isoformat() if challenger.finished_at else None,
        "results_url": reverse("challenger-results", args=[challenger.pk]),
        "disagreements_url": reverse("challenger-disagreements", args=[challenger.pk]),
        "csv_url": reverse("challenger-csv", args=[challenger.pk]),
    }


def full_challenger_document(challenger: Challenger) -> dict[str, Any]:
    """With both versions beside each other."""
    agreement = selectors.agreement_of(challenger)
    return {
        **challenger_document(challenger),
        "verdicts": [
            {"production": before, "challenger": after, "count": count}
            for before, row in agreement.table.items()
            for after, count in row.items()
        ],
        "of_production": counts_document(agreement.production),
        "of_challenger": counts_document(agreement.challenger),
        "open_disagreements": selectors.open_disagreements(challenger),
    }


def counts_document(counts: Counts) -> dict[str, Any]:
    return {
        "good": counts.good,
        "defective": counts.defective,
        "not_comparable": counts.not_comparable,
        "defect_share": counts.defect_share,
        "defect_share_interval": counts.interval,
    }


def result_document(result: ChallengerResult) -> dict[str, Any]:
    record, mark = result.inspection, getattr(result, "mark", None)
    standing = getattr(record, "standing", None)
    return {
        "id": result.pk,
        "inspection_id": str(record.pk),
        "inspection_url": reverse("api-inspection", args=[record.pk]),
        "filename": record.filename,
        "created_at": record.created_at.isoformat(),
        "production": {"outcome": record.outcome, "score": record.score, "threshold": record.threshold_value},
        "challenger": {
            "outcome": result.outcome or None,
            "score": result.score,
            "threshold": result.threshold_value,
        },
        "threshold": result.threshold_id,
        "p_value": result.p_value,
        "reason": result.reason,
        "error_code": result.error_code,
        "disagrees": result.disagrees,
        "distance": result.distance,
        "review": standing.verdict if standing else None,
        "mark": mark
        and {
            "author": mark.author.get_username() if mark.author else None,
            "comment": mark.comment,
            "created_at": mark.created_at.isoformat(),
        },
        "looked_at": mark is not None or standing is not None,
    }


def csv_pieces(challenger: Challenger, dialect: Dialect) -> Iterator[str]:
    """All results in their order, piece by piece."""
    table = CsvTable(dialect, _COLUMNS)
    last = 0
    rows = selectors.results(challenger).order_by("id")
    while chunk := list(rows.filter(pk__gt=last)[:_CHUNK]):
        for result in chunk:
            table.write(_row(result))
        last = chunk[-1].pk
        yield table.take()
    if rest := table.take():
        yield rest


def _row(result: ChallengerResult) -> list[Any]:
    record, mark = result.inspection, getattr(result, "mark", None)
    standing = getattr(record, "standing", None)
    return [
        *(str(record.pk), record.created_at.isoformat(), record.station, record.part_number, record.lot),
        *(record.serial_number, record.filename, record.asset.sha256),
        *(record.outcome, record.score, record.threshold_value),
        *(result.outcome, result.score, result.threshold_value, result.reason, result.error_code),
        *(result.disagrees, result.distance, standing.verdict if standing else ""),
        *(mark.author.get_username() if mark and mark.author else "", mark.comment if mark else ""),
    ]
