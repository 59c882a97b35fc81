"""Reads: thresholds as their audit events must tell them, for `verify_audit --records`."""

from __future__ import annotations

from typing import Any

from modelzoo.models import ModelVersion, Threshold
from records.audit.chain.audited_rows import Attested, fingerprint


def said_of_threshold(threshold: Threshold) -> dict[str, Any]:
    """`after` of `threshold.set`, whose object is the model version. `row` vouches for parameters, evidence, author."""
    return {
        "revision": threshold.revision,
        "value": threshold.value,
        "method": threshold.method,
        "reason": threshold.reason,
        "row": fingerprint(threshold),
    }


THRESHOLDS = Attested(
    kind="threshold.set",
    object_type=ModelVersion._meta.label_lower,
    rows=Threshold.objects.all,
    said=said_of_threshold,
    object_id="model_version_id",
    by=("revision",),
)
