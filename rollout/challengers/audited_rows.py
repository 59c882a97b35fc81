"""Reads: what the audit events of slices and marks must say, for `verify_audit --records`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from records.audit.chain.audited_rows import AuditedRows, row_hash
from rollout.models import ChallengerResult, ChallengerSlice, DisagreementMark

SCORED = "challenger.scored"
MARKED = "challenger.disagreement_marked"


def expected_slice(part: ChallengerSlice) -> dict[str, Any]:
    """`after` of the event of a slice. `results_sha256` is over all its rows, in their order."""
    results = sorted(part.results.all(), key=lambda result: result.pk)
    return {
        "challenger": str(part.challenger_id),
        "model_version": part.challenger.model_version_id,
        "number": part.number,
        "reached_sequence": part.reached_sequence,
        "seen": part.seen,
        "discarded": part.discarded,
        "results": len(results),
        "disagreements": sum(result.disagrees for result in results),
        "results_sha256": _hash_of(results),
        "row": row_hash(part),
    }


def _hash_of(results: Iterable[ChallengerResult]) -> str:
    return hashlib.sha256("".join(f"{row_hash(result)}\n" for result in results).encode()).hexdigest()


def expected_mark(mark: DisagreementMark) -> dict[str, Any]:
    """`after` of the event of a mark."""
    return {
        "challenger": str(mark.result.challenger_id),
        "inspection": str(mark.result.inspection_id),
        "comment": mark.comment,
        "row": row_hash(mark),
    }


SLICES = AuditedRows(
    kind=SCORED,
    object_type=ChallengerSlice._meta.label_lower,
    rows=lambda: ChallengerSlice.objects.select_related("challenger").prefetch_related("results"),
    expected_after=expected_slice,
)
MARKS = AuditedRows(
    kind=MARKED,
    object_type=DisagreementMark._meta.label_lower,
    rows=lambda: DisagreementMark.objects.select_related("result"),
    expected_after=expected_mark,
)
