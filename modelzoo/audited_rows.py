"""Reads: what the audit events of thresholds must say, for `verify_audit --records`."""

from __future__ import annotations

from typing import Any

from modelzoo.models import ModelVersion, Threshold
from records.audit.chain.audited_rows import AuditedRows, row_hash


def expected_threshold(threshold: Threshold) -> dict[str, Any]:
    """`after` of `threshold.set`, whose object is the model version. `row` covers parameters, evidence, author."""
    return {
        "revision": threshold.revision,
        "value": threshold.value,
        "method": threshold.method,
        "reason": threshold.reason,
        "row": row_hash(threshold),
    }


THRESHOLDS = AuditedRows(
    kind="threshold.set",
    object_type=ModelVersion._meta.label_lower,
    rows=Threshold.objects.all,
    expected_after=expected_threshold,
    object_id="model_version_id",
    key_fields=("revision",),
)
