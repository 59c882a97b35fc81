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
        **size_rule_values(threshold),
        "row": row_hash(threshold),
    }


def size_rule_values(threshold: Threshold) -> dict[str, Any]:
    """What events say of a threshold's size rule; nothing where it has none."""
    values = {"min_region_mm2": threshold.min_region_mm2, "severity_grades": threshold.severity_grades}
    return {name: value for name, value in values.items() if value is not None}


THRESHOLDS = AuditedRows(
    kind="threshold.set",
    object_type=ModelVersion._meta.label_lower,
    rows=Threshold.objects.all,
    expected_after=expected_threshold,
    object_id="model_version_id",
    key_fields=("revision",),
)
